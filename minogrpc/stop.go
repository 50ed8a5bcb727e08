package minogrpc

import (
	"errors"
	"time"
)

const (
	// gracePeriod is how long GracefulStop waits for calls and handlers, and stopPeriod how long Stop
	// does. A session takes up to a second to send what is waiting.
	gracePeriod = 10 * time.Second
	stopPeriod  = 2 * time.Second
)

// GracefulStop stops the node. The node refuses new calls and streams, and ends its streams at once: it
// sends what waits in them, Recv returns io.EOF to a handler, and Recv returns an error that wraps
// [host.ErrStopped] to the orchestrator of a stream that this node has opened. GracefulStop waits up to
// 10 seconds for the calls from and to the node and for the handlers. Then it cuts them off, and waits
// for one more second.
//
// It returns a [*host.RunningError] if something still runs then, usually a handler. The error names
// each handler with its procedure, its stream and its age. Only the first call of GracefulStop or
// [Minogrpc.Stop] does something; the other calls wait for it.
func (m *Minogrpc) GracefulStop() error {
	return m.stopWithin(gracePeriod)
}

// Stop is [Minogrpc.GracefulStop] with 2 seconds instead of 10. It also makes a GracefulStop that is
// waiting wait for at most 2 more seconds.
func (m *Minogrpc) Stop() error {
	return m.stopWithin(stopPeriod)
}

func (m *Minogrpc) stopWithin(d time.Duration) error {
	return errors.Join(m.host.Stop(d, m.server), m.conns.Close())
}
