package link

import (
	"time"

	"github.com/minogrpc/session/internal/deadline"
)

// lookStep is how often a link with parcels looks whether the process has the processor. When it has
// not, the time of the outbox stands still: an outcome that has come may wait to be read.
const lookStep = 250 * time.Millisecond

// expiry is the one timer of a link. It fires at the earliest deadline in the outbox, or
// when the transport wants to look at what waits, and once in each lookStep. It belongs to the lock of
// the link.
type expiry struct {
	timer *time.Timer
	// armed is when the timer fires, zero if it does not, and since when that was decided.
	armed, since time.Time
}

// armLocked makes the timer fire in time.
func (l *Link) armLocked() {
	if l.box.Len() == 0 {
		return
	}

	earliest := l.box.Earliest()
	if l.transport != nil {
		if due := l.transport.due(); !due.IsZero() && due.Before(earliest) {
			earliest = due
		}
	}

	if !l.expiry.armed.IsZero() && !earliest.Before(l.expiry.armed) {
		return
	}

	now := time.Now()
	if look := now.Add(lookStep); look.Before(earliest) {
		earliest = look
	}

	if l.expiry.timer == nil {
		l.expiry.timer = time.AfterFunc(earliest.Sub(now), l.expire)
	} else {
		l.expiry.timer.Reset(earliest.Sub(now))
	}

	l.expiry.armed, l.expiry.since = earliest, now
}

// standLocked stops the time of the outbox for as long as the process did not get the processor since
// the timer was armed.
func (l *Link) standLocked(now time.Time) {
	e := &l.expiry
	if e.armed.IsZero() {
		return
	}

	l.box.Stand(max(0, now.Sub(e.since)-deadline.Counted(e.armed.Sub(e.since), now.Sub(e.armed))))
	e.armed = time.Time{}
}

// expire reports the parcels whose deadline has come.
func (l *Link) expire() {
	deadline.Queue()

	l.mu.Lock()
	now := time.Now()
	l.standLocked(now)
	expired := l.box.Expire(now)

	if l.transport != nil {
		l.transport.expired(expired, now)
	}

	l.flushedLocked()

	if l.state < dead {
		l.armLocked()
	}
	l.mu.Unlock()

	for _, p := range expired {
		l.failed(p, ErrExpired)
	}
}
