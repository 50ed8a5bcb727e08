package session

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/mino"
)

// maxNeighbors is how many parents, and how many children, a snapshot has.
const maxNeighbors = 256

// Inspector is implemented by the sessions that [NewSession] returns.
type Inspector interface {
	// Snapshot returns a copy of what the session knows about itself at this moment. It waits for
	// no neighbour and for no handler.
	Snapshot() Snapshot
}

// Snapshot is what a session knows about itself at one moment. Addresses are in the form of their
// String method. A duration is in nanoseconds in JSON, and has that in its name.
type Snapshot struct {
	// Procedure, Stream and Protocol are the URI, the id and the tag of the stream.
	Procedure string `json:"procedure"`
	Stream    string `json:"stream"`
	Protocol  string `json:"protocol,omitempty"`
	// Address is this node. At an orchestrator it has that role.
	Address string `json:"address"`
	// Age is how long the session is there.
	Age time.Duration `json:"age_ns"`
	// Closed is set when the session has been closed.
	Closed bool `json:"closed,omitempty"`
	// Cut is set when no parent has a way up.
	Cut bool `json:"cut,omitempty"`

	// Parents and Children are the neighbours, sorted by address: the first 256 of each. MoreParents
	// and MoreChildren are how many others there are.
	Parents      []Neighbor `json:"parents,omitempty"`
	Children     []Neighbor `json:"children,omitempty"`
	MoreParents  int        `json:"more_parents,omitempty"`
	MoreChildren int        `json:"more_children,omitempty"`

	// Queue is what waits for Recv.
	Queue Backlog `json:"queue"`
	// Outcomes counts the destinations of messages that were sent here or have passed here.
	Outcomes OutcomeCounts `json:"outcomes"`
	// RefusedNews counts the news of players that the session has refused, because their sender may not tell
	// them.
	RefusedNews uint64 `json:"refused_news,omitempty"`
	// Failures are the last 16 of them that were not reached, the newest first.
	Failures []Failure `json:"failures,omitempty"`
	// Losses are the last 16 losses of nodes that this node has noticed or heard of, the newest first.
	Losses []KnownLoss `json:"losses,omitempty"`
}

// NeighborState is the state of a neighbour in a [Snapshot].
type NeighborState string

const (
	// NeighborConnecting is a child to which the stream is being opened.
	NeighborConnecting NeighborState = "connecting"
	// NeighborOpen is a neighbour that can be reached.
	NeighborOpen NeighborState = "open"
	// NeighborSuspect is a parent that did not take a packet in the last second.
	NeighborSuspect NeighborState = "suspect"
	// NeighborBroken is a neighbour whose stream has broken and may go on.
	NeighborBroken NeighborState = "broken"
	// NeighborLost is a child that is lost, and that the session tries to reach again; or a parent
	// that is lost, and that another node may replace.
	NeighborLost NeighborState = "lost"
	// NeighborClosing is a neighbour to which the session says goodbye.
	NeighborClosing NeighborState = "closing"
)

// Neighbor is a parent or a child in a [Snapshot].
type Neighbor struct {
	Address string        `json:"address"`
	State   NeighborState `json:"state"`
	// Duplex is set for a neighbour with a duplex link.
	Duplex bool `json:"duplex,omitempty"`
	// Cut is set for a parent that says that its own way up is cut.
	Cut bool `json:"cut,omitempty"`
	// Heard is how long ago the last sign of life has come over a duplex link.
	Heard time.Duration `json:"heard_ns,omitempty"`
	// RoundTrip is how long the way there and back took the last time on a duplex link, with what the
	// packets waited on the way. It is zero while that is not known.
	RoundTrip time.Duration `json:"round_trip_ns,omitempty"`
	// Waiting are the packets for the neighbour without an outcome.
	Waiting Backlog `json:"waiting"`
	// Sent and Received count packets. Received counts only what has come over a duplex link.
	Sent     Traffic `json:"sent"`
	Received Traffic `json:"received"`
}

// Backlog is what waits somewhere.
type Backlog struct {
	Packets int `json:"packets"`
	// Bytes is what the packets count for, with their addresses and some overhead.
	Bytes int `json:"bytes"`
	// Oldest is how long the oldest of them has been at this node. If there are more than 4,096, it is
	// the oldest of some 4,096.
	Oldest time.Duration `json:"oldest_ns,omitempty"`
}

// Traffic counts packets since the link to a neighbour was made.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// OutcomeCounts counts outcomes since the session was made: of destinations that were reached, and by
// [Reason] of those that were not.
type OutcomeCounts struct {
	Delivered   uint64 `json:"delivered"`
	NoRoute     uint64 `json:"no_route"`
	Unreachable uint64 `json:"unreachable"`
	Overflow    uint64 `json:"overflow"`
	Timeout     uint64 `json:"timeout"`
	Closed      uint64 `json:"closed"`
	Rejected    uint64 `json:"rejected"`
}

// Failure is a [DeliveryError] in a [Snapshot].
type Failure struct {
	Ago         time.Duration `json:"ago_ns"`
	Destination string        `json:"destination"`
	Reason      string        `json:"reason"`
	// Hop is the node that gave up.
	Hop string `json:"hop"`
	// HeardFrom is the neighbour that has told this node. It is empty if this node has noticed the failure.
	HeardFrom string `json:"heard_from,omitempty"`
	// Cause has at most 1 KiB. Other nodes may have written it.
	Cause string `json:"cause"`
}

// KnownLoss is a [Loss] in a [Snapshot].
type KnownLoss struct {
	Ago time.Duration `json:"ago_ns"`
	// Node is the node that was lost. It may be back.
	Node string `json:"node"`
	// Noticed is set if this node has noticed the loss. Otherwise HeardFrom is the neighbour that has
	// told it.
	Noticed   bool   `json:"noticed,omitempty"`
	HeardFrom string `json:"heard_from,omitempty"`
	// Cause has at most 1 KiB. Other nodes may have written it.
	Cause string `json:"cause"`
}

// observation is a neighbour before its address is printed, which is not done under the lock.
type observation struct {
	addr  mino.Address
	name  *name
	state NeighborState
	cut   bool
	link  link.Snapshot
}

// observations has memory for the neighbours of one session, because a node may have many sessions.
var observations = sync.Pool{New: func() any { return new([]observation) }}

// Snapshot implements Inspector. What belongs to the session is taken in one hold of its lock.
func (s *session) Snapshot() Snapshot {
	var queue parcel.Load

	memory, _ := observations.Get().(*[]observation)
	seen := (*memory)[:0]

	s.mu.Lock()
	closed, cut := s.closed, s.cut

	for _, par := range s.parents {
		seen = append(seen, par.observe())
	}

	parents := len(seen)

	for _, c := range s.children {
		seen = append(seen, c.observe())
	}

	queue.Packets, queue.Bytes, queue.Since = s.mailbox.queue.Load()
	s.mu.Unlock()

	now := time.Now()
	stream := &s.witness.stream
	list := neighbors(seen, now)

	snap := Snapshot{
		Procedure: stream.Procedure, Stream: stream.Stream, Protocol: stream.Protocol,
		Address: s.name.of(s.me), Age: now.Sub(s.begun), Closed: closed, Cut: cut,
		Queue:    backlog(queue, now),
		Outcomes: s.witness.record.outcomes(),
		Failures: s.witness.record.failuresAt(now),
		Losses:   s.witness.record.lossesAt(now),

		RefusedNews: s.witness.refusedNews.Load(),
	}
	snap.Parents, snap.MoreParents = sorted(list[:parents:parents])
	snap.Children, snap.MoreChildren = sorted(list[parents:])

	clear(seen)
	*memory = seen
	observations.Put(memory)

	return snap
}

// observe returns what the parent is now.
func (par *parent) observe() observation {
	o := observation{addr: par.addr, name: &par.name, cut: par.cut, link: par.link.Snapshot()}
	if par.parked != nil {
		o.link.Waiting.Add(par.parked.Snapshot().Waiting)
	}

	switch par.current() {
	case suspect:
		o.state = NeighborSuspect
	case broken:
		o.state = NeighborBroken
	case orphaned, gone:
		o.state = NeighborLost
	default:
		o.state = stateOf(o.link.Condition)
	}

	return o
}

// observe returns what the child is now.
func (c *child) observe() observation {
	o := observation{addr: c.addr, name: &c.name, state: NeighborLost}
	if c.link != nil {
		o.link = c.link.Snapshot()
		o.state = stateOf(o.link.Condition)
	}

	return o
}

// stateOf returns the state of a neighbour with a link in that condition.
func stateOf(c link.Condition) NeighborState {
	switch c {
	case link.Connecting:
		return NeighborConnecting
	case link.Open:
		return NeighborOpen
	case link.Broken:
		return NeighborBroken
	case link.Closing:
		return NeighborClosing
	default:
		return NeighborLost
	}
}

// neighbors returns the neighbours as a snapshot has them.
func neighbors(seen []observation, now time.Time) []Neighbor {
	if len(seen) == 0 {
		return nil
	}

	list := make([]Neighbor, len(seen))
	for i := range seen {
		seen[i].write(&list[i], now)
	}

	return list
}

// sorted returns the first of the neighbours, and how many others there are.
func sorted(list []Neighbor) (first []Neighbor, more int) {
	if len(list) == 0 {
		return nil, 0
	}

	slices.SortFunc(list, func(a, b Neighbor) int { return cmp.Compare(a.Address, b.Address) })

	n := min(len(list), maxNeighbors)

	return list[:n:n], len(list) - n
}

// write writes the neighbour as a snapshot has it.
func (o *observation) write(n *Neighbor, now time.Time) {
	*n = Neighbor{
		Address:   o.name.of(o.addr),
		State:     o.state,
		Duplex:    o.link.Duplex,
		Cut:       o.cut,
		RoundTrip: o.link.RoundTrip,
		Waiting:   backlog(o.link.Waiting, now),
		Sent:      Traffic(o.link.Sent),
		Received:  Traffic(o.link.Received),
	}

	if !o.link.Heard.IsZero() {
		n.Heard = max(now.Sub(o.link.Heard), 0)
	}
}

// backlog returns what waits, as a snapshot has it.
func backlog(load parcel.Load, now time.Time) Backlog {
	b := Backlog{Packets: load.Packets, Bytes: load.Bytes}
	if !load.Since.IsZero() {
		b.Oldest = max(now.Sub(load.Since), 0)
	}

	return b
}

// failuresAt returns the last failures as a snapshot has them.
func (r *record) failuresAt(now time.Time) []Failure {
	recent := r.recent()
	if len(recent) == 0 {
		return nil
	}

	list := make([]Failure, len(recent))
	for i, f := range recent {
		list[i] = Failure{
			Ago:         max(now.Sub(f.at), 0),
			Destination: printedOf(f.err.Destination),
			Reason:      f.err.Reason.String(),
			Hop:         printedOf(f.err.Hop),
			HeardFrom:   printedOf(f.from),
			Cause:       detailOf(f.err.Cause),
		}
	}

	return list
}

// lossesAt returns the last losses as a snapshot has them.
func (r *record) lossesAt(now time.Time) []KnownLoss {
	lost := r.lost()
	if len(lost) == 0 {
		return nil
	}

	list := make([]KnownLoss, len(lost))
	for i, l := range lost {
		list[i] = KnownLoss{
			Ago:       max(now.Sub(l.at), 0),
			Node:      printedOf(l.Node),
			Noticed:   l.IsNoticed(),
			HeardFrom: printedOf(l.From),
			Cause:     l.Cause.Error(),
		}
	}

	return list
}

// printedOf is nameOf for an address that may be missing.
func printedOf(addr mino.Address) string {
	if addr == nil {
		return ""
	}

	return nameOf(addr)
}
