package host

import (
	"cmp"
	"slices"
	"time"

	"github.com/minogrpc/session"
)

// maxStreams is how many streams a snapshot has.
const maxStreams = 1000

// Snapshot is what a host knows about its streams at one moment. A duration is in nanoseconds in JSON,
// and has that in its name.
type Snapshot struct {
	// Address is the node.
	Address string `json:"address"`
	// Streams are the streams in which the node takes part: the 1,000 oldest, the oldest first. A node
	// that orchestrates a stream and is a player in it has two. MoreStreams is how many others there are.
	Streams     []Stream `json:"streams"`
	MoreStreams int      `json:"more_streams,omitempty"`
	// Calls are the handlers of calls that run: the 1,000 oldest, the oldest first. MoreCalls is how
	// many others there are.
	Calls     []RunningCall `json:"calls,omitempty"`
	MoreCalls int           `json:"more_calls,omitempty"`
}

// StreamRole is the part of a node in a stream.
type StreamRole string

const (
	// StreamOrchestrator has opened the stream.
	StreamOrchestrator StreamRole = "orchestrator"
	// StreamRoot is the first player.
	StreamRoot StreamRole = "root"
	// StreamPlayer is any other player.
	StreamPlayer StreamRole = "player"
)

// HandlerState is what the handler of a stream does.
type HandlerState string

const (
	// HandlerWaiting is a handler that has not been called yet, because there is no parent.
	HandlerWaiting HandlerState = "waiting"
	// HandlerRunning is a handler that has not returned.
	HandlerRunning HandlerState = "running"
	// HandlerEnded is a handler that has returned. The node still passes on messages.
	HandlerEnded HandlerState = "ended"
)

// Stream is one stream of a [Snapshot].
type Stream struct {
	session.Snapshot

	Role StreamRole `json:"role"`
	// Handler is empty at an orchestrator, whose application has the stream. HandlerSince is how long
	// the handler is in that state.
	Handler      HandlerState  `json:"handler,omitempty"`
	HandlerSince time.Duration `json:"handler_since_ns,omitempty"`
}

// RunningCall is the handler of a call.
type RunningCall struct {
	Procedure string        `json:"procedure"`
	Age       time.Duration `json:"age_ns"`
}

// Snapshot returns a copy of what the host knows at this moment. Each stream is copied in one step, one
// stream after the other. It may be called at any time, also after Stop.
func (h *Host) Snapshot() Snapshot {
	snap := Snapshot{Address: h.me.String()}

	// Only those are copied that are wanted.
	all := h.streams.all()
	slices.SortFunc(all, func(a, b part) int { return a.began().Compare(b.began()) })
	all, snap.MoreStreams = firstOf(all, maxStreams)

	snap.Streams = make([]Stream, len(all))
	for i, p := range all {
		p.inspect(&snap.Streams[i])
	}

	snap.Calls, snap.MoreCalls = firstOf(h.tasks.calls(), maxStreams)

	return snap
}

// part is that of a node in a stream.
type part interface {
	// began returns when it began.
	began() time.Time
	// inspect writes what it is now.
	inspect(snap *Stream)
}

// began implements part.
func (st *stream) began() time.Time { return st.begun }

// began implements part.
func (o *orchestration) began() time.Time { return o.begun }

// inspect implements part.
func (o *orchestration) inspect(snap *Stream) {
	snap.Snapshot, snap.Role = o.Snapshot(), StreamOrchestrator
}

// inspect implements part.
func (st *stream) inspect(snap *Stream) {
	snap.Snapshot, snap.Role, snap.Handler = st.Snapshot(), StreamPlayer, HandlerWaiting

	if st.root.Load() {
		snap.Role = StreamRoot
	}

	if r := st.task.Load(); r != nil {
		snap.Handler, snap.HandlerSince = r.handler()
	}
}

// handler returns what the handler of a stream does, and for how long.
func (r *running) handler() (HandlerState, time.Duration) {
	r.tasks.mu.Lock()
	defer r.tasks.mu.Unlock()

	since := r.task.Since
	if !r.renamed.IsZero() {
		since = r.renamed
	}

	state := HandlerWaiting

	switch {
	case r.task.Name == taskHandler:
		state = HandlerRunning
	case !r.renamed.IsZero():
		state = HandlerEnded
	}

	return state, time.Since(since)
}

// calls returns the handlers of calls that run, the oldest first.
func (t *tasks) calls() []RunningCall {
	t.mu.Lock()
	defer t.mu.Unlock()

	var all []RunningCall

	for r := range t.running {
		if r.task.Name == taskCall {
			all = append(all, RunningCall{Procedure: r.task.Procedure, Age: time.Since(r.task.Since)})
		}
	}

	slices.SortFunc(all, func(a, b RunningCall) int { return cmp.Compare(b.Age, a.Age) })

	return all
}

// firstOf returns the first n of a list, and how many others there are.
func firstOf[T any](list []T, n int) (first []T, more int) {
	if len(list) <= n {
		return list, 0
	}

	return list[:n:n], len(list) - n
}
