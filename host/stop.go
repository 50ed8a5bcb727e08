package host

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// abortPeriod is how long what has been cut off may take to notice.
const abortPeriod = time.Second

// ErrStopped is the cause of everything that a stop ends.
var ErrStopped = errors.New("the node has been stopped")

// leftError is ErrStopped as the end of a session. That is a clean one for the handler.
type leftError struct{}

// Error implements error.
func (leftError) Error() string { return ErrStopped.Error() }

// Is makes it an io.EOF, and ErrStopped.
func (leftError) Is(target error) bool { return target == io.EOF || target == ErrStopped }

// life is where a host is between its start and its end.
type life struct {
	// closing is done when the stop begins, and hurried when it stops waiting for
	// what is in progress.
	closing context.Context
	hurried context.Context
	close   context.CancelCauseFunc
	hurry   context.CancelCauseFunc

	// The first caller of Stop sets begun, and closes stopped when the stop is done, with err.
	// The others wait.
	begun   atomic.Bool
	stopped chan struct{}
	err     error
}

func newLife() *life {
	l := &life{stopped: make(chan struct{})}
	l.closing, l.close = context.WithCancelCause(context.Background())
	l.hurried, l.hurry = context.WithCancelCause(context.Background())

	return l
}

// Server is what an overlay serves its host on, such as a *grpc.Server.
type Server interface {
	// GracefulStop takes no more calls, and returns when the last one has ended.
	GracefulStop()

	// Stop ends the calls, and a GracefulStop that waits for them.
	Stop()
}

// Stop ends the host and its server, and gives what is in progress that much time: calls, and the
// handlers of streams. The streams themselves end at once, as they would last for ever: the sessions
// send what is waiting, and Recv returns io.EOF to a handler, and [ErrStopped] to the
// orchestrator of a stream that this node has opened. New calls and streams are refused.
//
// When the time is over, Stop ends the server, waits for one more second, and returns a
// [*RunningError] if something still runs. Only the first call does something, with its server; the
// others wait for it, and one with less time hurries it. Close the connections of the host when
// Stop has returned.
func (h *Host) Stop(within time.Duration, server Server) error {
	timer := time.AfterFunc(within, func() { h.life.hurry(ErrStopped) })
	defer timer.Stop()

	if !h.life.begun.Swap(true) {
		h.life.err = h.shutdown(server)
		close(h.life.stopped)
	}

	<-h.life.stopped

	return h.life.err
}

// Stopping returns a context that is done when a stop of the host begins. The cause is
// [ErrStopped].
func (h *Host) Stopping() context.Context {
	return h.life.closing
}

// Hurried returns a context that is done when a stop does not wait any longer for what is in
// progress. The cause is [ErrStopped].
func (h *Host) Hurried() context.Context {
	return h.life.hurried
}

// Go runs the function in a goroutine that a stop of the host waits for, and names if it does
// not end. It returns false, and does nothing, once a stop has begun.
func (h *Host) Go(task Task, fn func()) bool {
	return h.tasks.start(task, func(*running) { fn() })
}

// shutdown ends the host. It runs once.
func (h *Host) shutdown(server Server) error {
	// The sessions, of either kind, are waiting for this one.
	h.life.close(ErrStopped)
	h.tasks.close()

	drained := make(chan struct{})

	// It returns only after the last handler of a request, hence not at all when one
	// of the application hangs.
	go func() {
		defer close(drained)

		server.GracefulStop()
	}()

	h.waitForTasks(drained)
	h.life.hurry(ErrStopped)
	server.Stop()

	select {
	case <-h.tasks.idle:
	case <-time.After(abortPeriod):
	}

	return h.tasks.left()
}

// waitForTasks waits until all that is in progress has ended, or nobody wants to
// wait any longer.
func (h *Host) waitForTasks(drained <-chan struct{}) {
	for _, done := range []<-chan struct{}{drained, h.tasks.idle} {
		select {
		case <-done:
		case <-h.life.hurried.Done():
			return
		}
	}
}

// Serving returns nil while the host serves, and an error with the status Unavailable once a stop has
// begun.
func (h *Host) Serving() error {
	if h.life.closing.Err() != nil {
		return errUnavailable
	}

	return nil
}
