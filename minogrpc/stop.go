package minogrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const (
	// gracePeriod is how long GracefulStop waits for what is in progress, and
	// stopPeriod how long Stop does: as long as a session may take to send what is
	// waiting, and a bit.
	gracePeriod = 10 * time.Second
	stopPeriod  = 2 * time.Second

	// abortPeriod is how long what has been cut off may take to notice.
	abortPeriod = time.Second
)

// errStopped is what everything that a stop ends has for a cause.
var errStopped = errors.New("the node has been stopped")

// leftError is errStopped as the end of a session. That is a clean one for the handler.
type leftError struct{}

// Error implements error.
func (leftError) Error() string { return errStopped.Error() }

// Is makes it an io.EOF.
func (leftError) Is(target error) bool { return target == io.EOF }

// life is where a node is between its start and its end.
type life struct {
	// closing is done when the stop begins, and hurried when it stops waiting for
	// what is in progress.
	closing context.Context
	hurried context.Context
	close   context.CancelCauseFunc
	hurry   context.CancelCauseFunc

	// begun is set by the one who stops the node, and stopped closed when that is
	// done, with err. The others wait.
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

// GracefulStop ends the node, and gives what is in progress 10 seconds for it: the
// calls, from and to the node, and the handlers of its streams. The streams
// themselves end at once, as they would last for ever: what is waiting in them is
// sent, and Recv returns io.EOF to a handler, and an error to the orchestrator of a
// stream that this node has opened. New calls and streams are refused.
//
// It returns an error when something has not ended even after that. Only the first
// call of GracefulStop or [Minogrpc.Stop] does something; the others wait for it.
func (m *Minogrpc) GracefulStop() error {
	return m.stopWithin(gracePeriod)
}

// Stop is [Minogrpc.GracefulStop] with 2 seconds instead of 10. It also hurries a
// GracefulStop that is waiting.
func (m *Minogrpc) Stop() error {
	return m.stopWithin(stopPeriod)
}

func (m *Minogrpc) stopWithin(d time.Duration) error {
	timer := time.AfterFunc(d, func() { m.life.hurry(errStopped) })
	defer timer.Stop()

	if !m.life.begun.Swap(true) {
		m.life.err = m.shutdown()
		close(m.life.stopped)
	}

	<-m.life.stopped

	return m.life.err
}

// shutdown ends the node. It runs once.
func (m *Minogrpc) shutdown() error {
	// The sessions, of either kind, are waiting for this one.
	m.life.close(errStopped)
	m.tasks.close()

	drained := make(chan struct{})

	// It returns only after the last handler of a request, hence not at all when one
	// of the application hangs.
	go func() {
		defer close(drained)

		m.server.GracefulStop()
	}()

	m.waitForTasks(drained)
	m.life.hurry(errStopped)
	m.server.Stop()

	var err error

	select {
	case <-m.tasks.idle:
	case <-time.After(abortPeriod):
		err = fmt.Errorf("%d tasks of the node, such as handlers, have not ended", m.tasks.count())
	}

	return errors.Join(err, m.conns.Close())
}

// waitForTasks waits until all that is in progress has ended, or nobody wants to
// wait any longer.
func (m *Minogrpc) waitForTasks(drained <-chan struct{}) {
	for _, done := range []<-chan struct{}{drained, m.tasks.idle} {
		select {
		case <-done:
		case <-m.life.hurried.Done():
			return
		}
	}
}
