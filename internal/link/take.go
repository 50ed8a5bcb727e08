package link

import "time"

// Drain takes the parcels that are in the outbox, in the order they were added, without
// the destinations about which the neighbour has said something. What is under way for
// them is ignored from now on. A link that is lost or closing takes nothing more after it.
func (l *Link) Drain() []*Parcel {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.drainLocked()
}

func (l *Link) drainLocked() []*Parcel {
	l.sealed = l.sealed || l.state > open
	parcels := l.box.Drain()

	if l.transport != nil {
		l.transport.drained()
	}

	l.flushedLocked()

	return parcels
}

// Waiting returns the parcels that are in the outbox, in the order they were added. It returns none
// if the link is open and not duplex, because the packets there may change.
func (l *Link) Waiting() []*Parcel {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.transport != nil && l.duplexLocked() == nil {
		return nil
	}

	return l.box.All()
}

// Take is Drain for some of the parcels that wait. It takes those that may have reached the
// neighbour only if sent is set, and what becomes of them there is ignored.
func (l *Link) Take(some []*Parcel, sent bool) []*Parcel {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.transport != nil && l.duplexLocked() == nil {
		return nil // It was connecting when Waiting looked.
	}

	taken := l.box.Withdraw(some, sent)
	if l.transport != nil {
		l.transport.expired(taken, time.Now())
	}

	l.flushedLocked()

	return taken
}
