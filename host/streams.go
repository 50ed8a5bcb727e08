package host

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
)

// errEnded is why a stream that has ended takes no parent any more.
var errEnded = errors.New("the stream has ended on this node")

// errGone is why a link that has broken cannot be resumed.
var errGone = errors.New("the link is not known on this node")

// liveSession is what session.NewSession returns.
type liveSession interface {
	session.Session
	session.Lifecycle
	session.Registrar
	session.Ancestry
	session.Inspector
	session.NewsReporter
	mino.ContextSender
}

// errNotParent is why a caller must not be a parent of a stream.
var errNotParent = errors.New("the caller is neither the one who has opened the stream here, nor above it")

// stream is the part of the node, as a player, in one stream.
type stream struct {
	liveSession

	key streamKey
	// begun is when the node became a player.
	begun time.Time

	// info is what does not change of what [mino.InfoOf] tells a handler.
	info mino.Info

	// start closes started, when the first parent has been registered.
	started chan struct{}
	start   func()

	// parents are those that may be a parent here. Nil stands for any node.
	parents lineage

	// callers counts those that are registered as a parent or are about to be. The
	// mutex of the streams guards it.
	callers int

	// root is true when an orchestrator has opened the stream.
	root atomic.Bool

	// task is what runs the handler. It is nil for a moment in the beginning.
	task atomic.Pointer[running]
}

func newStream(key streamKey, parents lineage, sess liveSession) *stream {
	st := &stream{
		liveSession: sess, key: key, begun: time.Now(), parents: parents, started: make(chan struct{}),
	}
	st.start = sync.OnceFunc(func() { close(st.started) })

	return st
}

// handlerEnded does what the end of the handler means for the stream. Where the
// handler is the root's, a failure is the end of the stream, because the
// orchestrator waits for it. Where it has panicked, the node cannot be trusted with
// the rest and leaves it to the others. Else nobody reads any more, and that is all.
func (st *stream) handlerEnded(err error) {
	// Before the session has nothing to say any more.
	st.HandlerEnded(err)

	switch {
	case err != nil && st.root.Load():
		st.CloseWithError(err)
	case errors.Is(err, contain.ErrPanic):
		st.Leave(err)
	default:
		st.CloseRecv()
	}
}

// streams are the streams in which the node is a player.
type streams struct {
	mu    sync.Mutex
	open  map[streamKey]*stream
	ended endedStreams
	// opened are those that the node orchestrates.
	opened map[*orchestration]struct{}
}

func newStreams() *streams {
	return &streams{open: make(map[streamKey]*stream), opened: make(map[*orchestration]struct{})}
}

// join announces a caller of a stream and returns the stream, which it makes for
// the first one. It returns errEnded for a stream that is over, and errNotParent for one
// in which the caller has no business. Each join without an error is followed by one
// leave.
func (s *streams) join(key streamKey, who ancestor, create func() (*stream, error)) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	st := s.open[key]

	if st != nil && !st.parents.has(who) {
		return nil, errNotParent
	}

	if st == nil {
		if s.ended.has(key, time.Now()) {
			return nil, errEnded
		}

		var err error
		if st, err = create(); err != nil {
			return nil, err
		}

		s.open[key] = st
	}

	st.callers++

	return st, nil
}

// leave takes back a join. Without callers the stream has ended: for good, if it
// had ever begun.
func (s *streams) leave(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()

	st.callers--
	if st.callers > 0 {
		return
	}

	delete(s.open, st.key)

	if isClosed(st.started) {
		s.ended.add(st.key, time.Now())
	} else {
		// Other than a session that loses its last parent, it does not close by itself.
		st.Close()
	}
}

// find returns a stream that is running, or nil.
func (s *streams) find(key streamKey) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.open[key]
}

// orchestrates notes a stream that the node has opened, and forgets it when it has ended.
func (s *streams) orchestrates(o *orchestration) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.opened[o] = struct{}{}
}

func (s *streams) orchestrated(o *orchestration) {
	s.mu.Lock()
	defer s.mu.Unlock()

	delete(s.opened, o)
}

// all returns the streams in which the node is a player, and those that it orchestrates.
func (s *streams) all() []part {
	s.mu.Lock()
	defer s.mu.Unlock()

	parts := make([]part, 0, len(s.open)+len(s.opened))

	for _, st := range s.open {
		parts = append(parts, st)
	}

	for o := range s.opened {
		parts = append(parts, o)
	}

	return parts
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
