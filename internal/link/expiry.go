package link

import "time"

// expiry is the one timer of a link. It fires at the earliest deadline in the outbox, or
// when the transport wants to look at what waits. It belongs to the lock of the link.
type expiry struct {
	timer *time.Timer
	// armed is when the timer fires, zero if it does not.
	armed time.Time
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

	switch {
	case l.expiry.timer == nil:
		l.expiry.timer = time.AfterFunc(time.Until(earliest), l.expire)
	case l.expiry.armed.IsZero() || earliest.Before(l.expiry.armed):
		l.expiry.timer.Reset(time.Until(earliest))
	default:
		return
	}

	l.expiry.armed = earliest
}

// expire reports the parcels whose deadline has come.
func (l *Link) expire() {
	l.mu.Lock()
	l.expiry.armed = time.Time{}
	now := time.Now()
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
