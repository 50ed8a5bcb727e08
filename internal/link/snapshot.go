package link

import (
	"time"

	"github.com/minogrpc/session/internal/parcel"
)

// Condition is the state of a link as others see it.
type Condition int

const (
	// Connecting links are being set up.
	Connecting Condition = iota
	// Open links have a neighbour.
	Open
	// Broken links have lost their stream and may get another one.
	Broken
	// Closing links take nothing more, and are emptied.
	Closing
	// Lost links have no neighbour any more.
	Lost
)

// Traffic counts parcels, and bytes.
type Traffic struct {
	Packets, Bytes uint64
}

// Snapshot is what a link is at one moment.
type Snapshot struct {
	Condition Condition
	Duplex    bool
	// Waiting are the parcels without an outcome.
	Waiting parcel.Load
	// Heard is when the last sign of life has come over a duplex link, and zero for any other.
	Heard time.Time
	// RoundTrip is how long the way there and back took the last time on a duplex link, or zero when
	// that is not known.
	RoundTrip time.Duration
	// Sent counts what was added to the outbox. Received counts what has come over the stream of a
	// duplex link.
	Sent, Received Traffic
}

// Snapshot returns what the link is now.
func (l *Link) Snapshot() Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()

	s := Snapshot{Condition: l.conditionLocked(), Waiting: l.box.Load(), Received: l.received}
	s.Sent.Packets, s.Sent.Bytes = l.box.Added()

	if d := l.duplexLocked(); d != nil {
		s.Duplex = true
		s.Heard = d.machine.Heard()
		s.RoundTrip = d.machine.RoundTrip()
	}

	return s
}

// conditionLocked returns the state of the link.
func (l *Link) conditionLocked() Condition {
	d := l.duplexLocked()

	switch {
	case l.state >= lost:
		return Lost
	case l.state == closing:
		return Closing
	case l.state == connecting, d != nil && d.unanswered:
		return Connecting
	case d != nil && d.stream == nil:
		return Broken
	default:
		return Open
	}
}
