package link

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/memory"
)

// ErrFull is the error of a parcel for which there is no room.
var ErrFull = errors.New("outbox is at maximum capacity")

// share is the part of an outbox that one destination may take.
const share = 4

// outbox holds the parcels of a link from the moment they are added until their
// outcome is known. It belongs to the lock of its link.
//
// Parcels leave it in lanes, one per destination, which take turns. A lane that
// has perLane parcels under way waits, so that a destination that does not answer
// holds up no other. With perLane 0 there is a single lane without that limit,
// and so one order for everything.
type outbox struct {
	maxPackets, maxBytes, perLane int

	// budget is what all the outboxes and queues of a node share. Nil is no limit.
	budget *memory.Budget

	// held are the parcels in the outbox by their number.
	held  map[uint64]*Parcel
	last  uint64
	bytes int
	// usage is what each destination takes of the bounds.
	usage map[string]usage

	lanes map[string]*lane
	// ready are the lanes that have a parcel which may leave, in turn.
	ready []*lane

	// earliest is not later than any deadline in the outbox.
	earliest time.Time
}

type usage struct {
	packets, bytes int
}

// lane is the parcels that wait for each other.
type lane struct {
	key      string
	waiting  []*Parcel
	underway int
	ready    bool
}

// add takes a parcel, or returns ErrFull, or the error of the budget. An empty
// outbox takes any that the budget allows, and so does a destination's empty share.
func (b *outbox) add(p *Parcel) error {
	size := p.measure()
	if len(b.held) > 0 && (len(b.held) >= b.maxPackets || b.bytes+size > b.maxBytes) {
		return ErrFull
	}

	for _, key := range p.Keys {
		u := b.usage[key]
		if u.packets > 0 && (u.packets >= max(1, b.maxPackets/share) || u.bytes+size > b.maxBytes/share) {
			return ErrFull
		}
	}

	if !b.budget.Reserve(size) {
		return memory.ErrExhausted
	}

	b.hold(p, size)
	b.enqueue(p)

	return nil
}

// hold does the accounts of a new parcel.
func (b *outbox) hold(p *Parcel, size int) {
	if b.held == nil {
		b.held = make(map[uint64]*Parcel)
		b.usage = make(map[string]usage)
		b.lanes = make(map[string]*lane)
	}

	if len(b.held) == 0 || p.Deadline.Before(b.earliest) {
		b.earliest = p.Deadline
	}

	b.last++
	p.id = b.last
	p.size = size
	b.held[p.id] = p
	b.bytes += size

	for _, key := range p.Keys {
		u := b.usage[key]
		b.usage[key] = usage{packets: u.packets + 1, bytes: u.bytes + size}
	}
}

func (b *outbox) enqueue(p *Parcel) {
	if b.perLane > 0 {
		p.queue = p.lane()
	}

	l := b.laneOf(p)
	l.waiting = append(l.waiting, p)
	b.refresh(l)
}

// laneOf returns the lane of a parcel, and makes it if need be.
func (b *outbox) laneOf(p *Parcel) *lane {
	l := b.lanes[p.queue]
	if l == nil {
		l = &lane{key: p.queue}
		b.lanes[p.queue] = l
	}

	return l
}

// refresh puts a lane among the ready ones when it has become ready, and forgets
// it when it is empty.
func (b *outbox) refresh(l *lane) {
	switch {
	case l.ready:
	case len(l.waiting) == 0 && l.underway == 0:
		delete(b.lanes, l.key)
	case len(l.waiting) > 0 && (b.perLane == 0 || l.underway < b.perLane):
		l.ready = true
		b.ready = append(b.ready, l)
	}
}

// take returns the next parcel that may leave, or nil. The parcel stays in the
// outbox until it is removed.
func (b *outbox) take() *Parcel {
	for len(b.ready) > 0 {
		l := b.ready[0]
		b.ready[0] = nil
		b.ready = b.ready[1:]
		l.ready = false

		if len(l.waiting) == 0 {
			b.refresh(l)

			continue
		}

		p := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		l.underway++
		p.Sent = true
		b.refresh(l)

		return p
	}

	return nil
}

// remove takes a parcel that has left out of the accounts. It returns false when
// it is not in the outbox any more: somebody else has settled it.
func (b *outbox) remove(p *Parcel) bool {
	if b.held[p.id] != p {
		return false
	}

	b.release(p)

	if p.Sent {
		l := b.laneOf(p)
		l.underway--
		b.refresh(l)
	}

	return true
}

// release undoes hold.
func (b *outbox) release(p *Parcel) {
	size := p.size
	delete(b.held, p.id)
	b.bytes -= size
	b.budget.Release(size)

	for _, key := range p.Keys {
		u := b.usage[key]
		if u.packets <= 1 {
			delete(b.usage, key)
		} else {
			b.usage[key] = usage{packets: u.packets - 1, bytes: u.bytes - size}
		}
	}
}

// drain empties the outbox and returns the parcels in the order they came.
func (b *outbox) drain() []*Parcel {
	parcels := b.inOrder(func(*Parcel) bool { return true })

	b.held, b.usage, b.lanes, b.ready = nil, nil, nil, nil
	b.budget.Release(b.bytes)
	b.bytes = 0

	return parcels
}

// expire removes the parcels whose deadline has come, and returns them in the
// order they came.
func (b *outbox) expire(now time.Time) []*Parcel {
	expired := b.inOrder(func(p *Parcel) bool { return !p.Deadline.After(now) })
	for _, p := range expired {
		b.remove(p)
	}

	b.earliest = time.Time{}
	for _, p := range b.held {
		if b.earliest.IsZero() || p.Deadline.Before(b.earliest) {
			b.earliest = p.Deadline
		}
	}

	for _, l := range b.lanes {
		l.waiting = slices.DeleteFunc(l.waiting, func(p *Parcel) bool { return b.held[p.id] != p })
	}

	b.ready = slices.DeleteFunc(b.ready, func(l *lane) bool {
		l.ready = len(l.waiting) > 0

		return !l.ready
	})

	for _, l := range b.lanes {
		b.refresh(l)
	}

	return expired
}

// inOrder returns the parcels that a test selects, oldest first.
func (b *outbox) inOrder(selected func(*Parcel) bool) []*Parcel {
	var parcels []*Parcel

	for _, p := range b.held {
		if selected(p) {
			parcels = append(parcels, p)
		}
	}

	slices.SortFunc(parcels, func(x, y *Parcel) int { return cmp.Compare(x.id, y.id) })

	return parcels
}
