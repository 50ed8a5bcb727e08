package parcel

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/memory"
)

// ErrFull is the error of a parcel for which there is no room.
var ErrFull = errors.New("outbox is at maximum capacity")

// share is the part of a box that one destination may take.
const share = 4

// Box is the accounts of an outbox. It holds the parcels of a link from the moment they
// are added until their outcome is known. In which order they leave is not its business.
// It has no lock: the link that owns it does.
type Box struct {
	// MaxPackets and MaxBytes bound what is held.
	MaxPackets, MaxBytes int

	// Budget is what all the outboxes and queues of a node share. Nil is no limit.
	Budget *memory.Budget

	// held are the parcels in the box by their ID.
	held  map[uint64]*Parcel
	last  uint64
	bytes int
	// usage is what each destination takes of the bounds.
	usage map[string]usage

	// earliest is not later than any deadline in the box.
	earliest time.Time
}

type usage struct {
	packets, bytes int
}

// Add takes a parcel, or returns ErrFull, or the error of the budget. An empty box takes
// any that the budget allows, and so does a destination's empty share.
func (b *Box) Add(p *Parcel) error {
	size := p.Size()
	if len(b.held) > 0 && (len(b.held) >= b.MaxPackets || b.bytes+size > b.MaxBytes) {
		return ErrFull
	}

	for _, key := range p.Keys {
		u := b.usage[key]
		if u.packets > 0 && (u.packets >= max(1, b.MaxPackets/share) || u.bytes+size > b.MaxBytes/share) {
			return ErrFull
		}
	}

	if !b.Budget.Reserve(size) {
		return memory.ErrExhausted
	}

	b.hold(p, size)

	return nil
}

// hold does the accounts of a new parcel.
func (b *Box) hold(p *Parcel, size int) {
	if b.held == nil {
		b.held = make(map[uint64]*Parcel)
		b.usage = make(map[string]usage)
	}

	if len(b.held) == 0 || p.Deadline.Before(b.earliest) {
		b.earliest = p.Deadline
	}

	b.last++
	p.ID = b.last

	if p.Rank == 0 {
		p.Rank = p.ID
	}

	p.Counted = size
	b.held[p.ID] = p
	b.bytes += size

	for _, key := range p.Keys {
		u := b.usage[key]
		b.usage[key] = usage{packets: u.packets + 1, bytes: u.bytes + size}
	}
}

// Reserve takes what one more parcel of that size needs, if there is room for it. HoldPart
// or Return follows.
func (b *Box) Reserve(size int) bool {
	return len(b.held) < b.MaxPackets && b.bytes+size <= b.MaxBytes && b.Budget.Reserve(size)
}

// Return gives back what Reserve has taken.
func (b *Box) Return(size int) {
	b.Budget.Release(size)
}

// HoldPart takes a part of a parcel, for one of its destinations. Reserve has taken the
// room for it. The whole still counts for its full size, which is a few addresses too much.
func (b *Box) HoldPart(part, whole *Parcel) {
	b.discount(part.Keys[0], whole.Counted)
	b.hold(part, part.Counted)
}

// Len returns the number of parcels in the box.
func (b *Box) Len() int {
	return len(b.held)
}

// Find returns the parcel with that ID, or nil.
func (b *Box) Find(id uint64) *Parcel {
	return b.held[id]
}

// Holds tells whether nobody has settled the parcel yet.
func (b *Box) Holds(p *Parcel) bool {
	return b.held[p.ID] == p
}

// Remove takes a parcel out of the box. It returns false when it is not there any more:
// somebody else has settled it.
func (b *Box) Remove(p *Parcel) bool {
	if !b.Holds(p) {
		return false
	}

	delete(b.held, p.ID)

	b.bytes -= p.Counted
	b.Budget.Release(p.Counted)

	for _, key := range p.Keys {
		b.discount(key, p.Counted)
	}

	return true
}

// discount takes a parcel of that size out of the usage of a destination.
func (b *Box) discount(key string, size int) {
	u := b.usage[key]
	if u.packets <= 1 {
		delete(b.usage, key)
	} else {
		b.usage[key] = usage{packets: u.packets - 1, bytes: u.bytes - size}
	}
}

// Drain empties the box and returns what is left of the parcels in the order they came.
func (b *Box) Drain() []*Parcel {
	var parcels []*Parcel

	for _, p := range b.All() {
		rest := p.rest()
		if rest != nil {
			parcels = append(parcels, rest)
		}
	}

	b.held, b.usage = nil, nil
	b.Budget.Release(b.bytes)
	b.bytes = 0

	return parcels
}

// Withdraw removes some of the parcels, and returns what is left of those that are still there. Those
// that may have reached the neighbour stay unless sent is set.
func (b *Box) Withdraw(some []*Parcel, sent bool) []*Parcel {
	var taken []*Parcel

	for _, p := range some {
		if p.Sent && !sent || !b.Remove(p) {
			continue
		}

		if rest := p.rest(); rest != nil {
			taken = append(taken, rest)
		}
	}

	return taken
}

// Expire removes the parcels whose deadline has come, and returns them in the order they
// came.
func (b *Box) Expire(now time.Time) []*Parcel {
	if b.earliest.After(now) {
		return nil
	}

	expired := b.inOrder(func(p *Parcel) bool { return !p.Deadline.After(now) })
	for _, p := range expired {
		b.Remove(p)
	}

	b.earliest = time.Time{}
	for _, p := range b.held {
		if b.earliest.IsZero() || p.Deadline.Before(b.earliest) {
			b.earliest = p.Deadline
		}
	}

	return expired
}

// Earliest returns when Expire has something to do, if the box is not empty.
func (b *Box) Earliest() time.Time {
	return b.earliest
}

// All returns the parcels in the box, oldest first.
func (b *Box) All() []*Parcel {
	return b.inOrder(func(*Parcel) bool { return true })
}

// inOrder returns the parcels that a test selects, oldest first.
func (b *Box) inOrder(selected func(*Parcel) bool) []*Parcel {
	var parcels []*Parcel

	for _, p := range b.held {
		if selected(p) {
			parcels = append(parcels, p)
		}
	}

	slices.SortFunc(parcels, func(x, y *Parcel) int {
		return cmp.Or(cmp.Compare(x.Rank, y.Rank), cmp.Compare(x.ID, y.ID))
	})

	return parcels
}

// Bytes returns what the parcels in the box count for together.
func (b *Box) Bytes() int {
	return b.bytes
}

// Usage returns what a destination takes of the bounds.
func (b *Box) Usage(key string) (packets, bytes int) {
	u := b.usage[key]

	return u.packets, u.bytes
}

// Clone returns a copy of the box with copies of its parcels, for those who try out what
// may happen next. It shares the budget.
func (b *Box) Clone(copyOf func(*Parcel) *Parcel) *Box {
	clone := *b
	if b.held == nil {
		return &clone
	}

	clone.held = make(map[uint64]*Parcel, len(b.held))
	clone.usage = maps.Clone(b.usage)

	for id, p := range b.held {
		clone.held[id] = copyOf(p)
	}

	return &clone
}
