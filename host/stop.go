package host

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session/internal/deadline"
)

// abortPeriod is how long tasks may take to notice that the stop has cut them off.
const abortPeriod = time.Second

// ErrStopped is the cause of the end of everything that a stop ends.
var ErrStopped = errors.New("the node has been stopped")

// leftError is ErrStopped as the end of a session. That is a clean one for the handler.
type leftError struct{}

// Error implements error.
func (leftError) Error() string { return ErrStopped.Error() }

// Is makes it an io.EOF, and ErrStopped.
func (leftError) Is(target error) bool { return target == io.EOF || target == ErrStopped }

// life is the way of a host from its start to its end.
type life struct {
	// closing is done when the stop begins. hurried is done when the stop waits no longer for calls and
	// handlers.
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

// Server is the server on which an overlay serves its host, such as a *grpc.Server.
type Server interface {
	// GracefulStop makes the server refuse new calls, and returns when the last call has ended.
	GracefulStop()

	// Stop ends the calls, and a GracefulStop that waits for them.
	Stop()
}

// Stop stops the host and its server. The host refuses new calls and streams, and ends its streams at
// once: the sessions send what waits, Recv returns io.EOF to a handler, and Recv returns [ErrStopped] to
// the orchestrator of a stream that this node has opened. Stop waits for calls and for the handlers of
// streams, at most for the given time.
//
// When the time is over, Stop ends the server, waits for one more second, and returns a
// [*RunningError] if something still runs. Only the first call of Stop does something, with its server.
// Other calls wait for it. If the time of another call is over first, the stop waits no longer. Close
// the connections of the host when Stop has returned.
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

// Stopping returns a context that is done when a stop of the host begins. Its cause is [ErrStopped].
func (h *Host) Stopping() context.Context {
	return h.life.closing
}

// Hurried returns a context that is done when a stop waits no longer for calls and handlers. Its cause is
// [ErrStopped].
func (h *Host) Hurried() context.Context {
	return h.life.hurried
}

// Go runs the function in a goroutine. A stop of the host waits for it, and names it in its error if it
// does not end. Once a stop has begun, Go returns false and does nothing.
func (h *Host) Go(task Task, fn func()) bool {
	return h.tasks.start(task, func(*running) { fn() })
}

// shutdown ends the host. It runs once.
func (h *Host) shutdown(server Server) error {
	// It ends the sessions of the players and of the orchestrators.
	h.life.close(ErrStopped)
	h.tasks.close()

	drained := make(chan struct{})

	// It returns only after the last handler of a request. So it never returns while a handler of the
	// application hangs.
	go func() {
		defer close(drained)

		server.GracefulStop()
	}()

	h.waitForTasks(drained)
	h.life.hurry(ErrStopped)
	server.Stop()

	patience, over := deadline.After(abortPeriod)
	defer patience.Stop()

	select {
	case <-h.tasks.idle:
	case <-over:
	}

	return h.tasks.left()
}

// waitForTasks waits until the server and all tasks have ended, or the stop is hurried.
func (h *Host) waitForTasks(drained <-chan struct{}) {
	for _, done := range []<-chan struct{}{drained, h.tasks.idle} {
		select {
		case <-done:
		case <-h.life.hurried.Done():
			return
		}
	}
}

// Serving returns nil until a stop begins, and then an error with the status Unavailable.
func (h *Host) Serving() error {
	if h.life.closing.Err() != nil {
		return errUnavailable
	}

	return nil
}
