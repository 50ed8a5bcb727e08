package minogrpc

import (
	"errors"
	"time"
)

const (
	// gracePeriod is how long GracefulStop waits for what is in progress, and
	// stopPeriod how long Stop does: as long as a session may take to send what is
	// waiting, and a bit.
	gracePeriod = 10 * time.Second
	stopPeriod  = 2 * time.Second
)

// GracefulStop ends the node, and gives what is in progress 10 seconds for it: the
// calls, from and to the node, and the handlers of its streams. The streams
// themselves end at once, as they would last for ever: what is waiting in them is
// sent, and Recv returns io.EOF to a handler, and an error to the orchestrator of a
// stream that this node has opened. New calls and streams are refused.
//
// It returns a [*host.RunningError] when something has not ended even after that: a handler of a
// stream or of a call, usually. The error names it with its procedure, its stream and its age. Only
// the first call of GracefulStop or [Minogrpc.Stop] does something; the others wait for it.
func (m *Minogrpc) GracefulStop() error {
	return m.stopWithin(gracePeriod)
}

// Stop is [Minogrpc.GracefulStop] with 2 seconds instead of 10. It also hurries a
// GracefulStop that is waiting.
func (m *Minogrpc) Stop() error {
	return m.stopWithin(stopPeriod)
}

func (m *Minogrpc) stopWithin(d time.Duration) error {
	return errors.Join(m.host.Stop(d, m.server), m.conns.Close())
}
