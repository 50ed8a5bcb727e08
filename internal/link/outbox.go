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
// holds up no other. A lane for several destinations that waits for too long is
// split. With perLane 0 there is a single lane without that limit, and so one order
// for everything.
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

	// order is that of a duplex link, which has no lanes.
	order *order

	lanes map[string]*lane
	// ready are the lanes that have a parcel which may leave, in turn.
	ready []*lane

	// earliest is not later than any deadline in the outbox.
	earliest time.Time
	// due is when to look for lanes that are stuck, zero for never.
	due time.Time
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

	// divisible lanes are for several destinations at once. No call of such a lane has
	// been answered since it was full, zero if it was not, and stuck is set when that
	// is too long ago.
	divisible bool
	since     time.Time
	stuck     bool
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

	if p.order == 0 {
		p.order = p.id
	}

	p.size = size
	b.held[p.id] = p
	b.bytes += size

	for _, key := range p.Keys {
		u := b.usage[key]
		b.usage[key] = usage{packets: u.packets + 1, bytes: u.bytes + size}
	}
}

func (b *outbox) enqueue(p *Parcel) {
	if b.order != nil {
		b.order.push(p)

		return
	}

	if b.perLane > 0 {
		p.queue = p.lane()
	}

	l := b.laneOf(p)

	// Only a part has others to go before.
	at := len(l.waiting)
	for at > 0 && l.waiting[at-1].order > p.order {
		at--
	}

	l.waiting = slices.Insert(l.waiting, at, p)
	b.refresh(l)
}

// laneOf returns the lane of a parcel, and makes it if need be.
func (b *outbox) laneOf(p *Parcel) *lane {
	l := b.lanes[p.queue]
	if l == nil {
		l = &lane{key: p.queue, divisible: b.perLane > 0 && p.divisible()}
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
	case len(l.waiting) > 0 && (l.stuck || !b.full(l)):
		l.ready = true
		b.ready = append(b.ready, l)
	}
}

// full tells whether as many parcels of the lane are under way as may be.
func (b *outbox) full(l *lane) bool {
	return b.perLane > 0 && l.underway >= b.perLane
}

// take returns the next parcel that may leave, or nil. The parcel stays in the
// outbox until it is removed, unless it is spoiled.
func (b *outbox) take() *Parcel {
	for len(b.ready) > 0 {
		l := b.ready[0]
		b.ready[0] = nil
		b.ready = b.ready[1:]
		l.ready = false

		switch {
		case len(l.waiting) == 0:
			b.refresh(l)
		case b.full(l):
			spoiled := b.split(l)
			if spoiled != nil {
				return spoiled
			}
		default:
			return b.send(l)
		}
	}

	return nil
}

// send returns the first parcel of a lane, as one that is under way.
func (b *outbox) send(l *lane) *Parcel {
	p := l.pop()
	b.mark(p)
	l.underway++

	if l.divisible && b.full(l) {
		b.watch(l)
	}

	b.refresh(l)

	return p
}

// mark notes that a parcel is under way.
func (b *outbox) mark(p *Parcel) {
	p.Sent, p.shared = true, true
}

// holds tells whether nobody has settled the parcel yet.
func (b *outbox) holds(p *Parcel) bool {
	return b.held[p.id] == p
}

// line makes the outbox that of a duplex link. Nothing is under way yet.
func (b *outbox) line(o *order) {
	waiting := b.inOrder(func(*Parcel) bool { return true })
	b.lanes, b.ready, b.due = nil, nil, time.Time{}
	b.order = o

	for _, p := range waiting {
		o.push(p)
	}
}

// pop takes the first parcel out of the lane.
func (l *lane) pop() *Parcel {
	p := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]

	return p
}

// remove takes a parcel that has left out of the accounts. It returns false when
// it is not in the outbox any more: somebody else has settled it.
func (b *outbox) remove(p *Parcel) bool {
	if b.held[p.id] != p {
		return false
	}

	b.release(p)

	if p.Sent && b.order == nil {
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
		b.discount(key, size)
	}
}

// discount takes a parcel of that size out of the usage of a destination.
func (b *outbox) discount(key string, size int) {
	u := b.usage[key]
	if u.packets <= 1 {
		delete(b.usage, key)
	} else {
		b.usage[key] = usage{packets: u.packets - 1, bytes: u.bytes - size}
	}
}

// drain empties the outbox and returns what is left of the parcels in the order they came.
func (b *outbox) drain() []*Parcel {
	var parcels []*Parcel

	for _, p := range b.inOrder(func(*Parcel) bool { return true }) {
		rest := p.rest()
		if rest != nil {
			parcels = append(parcels, rest)
		}
	}

	b.held, b.usage, b.lanes, b.ready = nil, nil, nil, nil
	b.due = time.Time{}
	b.budget.Release(b.bytes)
	b.bytes = 0

	return parcels
}

// expire removes the parcels whose deadline has come, and returns them in the
// order they came.
func (b *outbox) expire(now time.Time) []*Parcel {
	if b.earliest.After(now) {
		return nil
	}

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

	if b.order != nil && len(expired) > 0 {
		// What cannot leave must not be kept: more may be added in its place.
		b.order.retain(b.holds)
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

// alarm returns when expire or findStuck has something to do, if the outbox is not
// empty.
func (b *outbox) alarm() time.Time {
	if b.due.IsZero() || b.earliest.Before(b.due) {
		return b.earliest
	}

	return b.due
}

// inOrder returns the parcels that a test selects, oldest first.
func (b *outbox) inOrder(selected func(*Parcel) bool) []*Parcel {
	var parcels []*Parcel

	for _, p := range b.held {
		if selected(p) {
			parcels = append(parcels, p)
		}
	}

	slices.SortFunc(parcels, func(x, y *Parcel) int {
		return cmp.Or(cmp.Compare(x.order, y.order), cmp.Compare(x.id, y.id))
	})

	return parcels
}
