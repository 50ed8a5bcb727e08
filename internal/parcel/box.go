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

// Box is the accounts of an outbox. It holds the parcels of a link from the moment they
// are added until their outcome is known. In which order they leave is not its business.
// It has no lock: the link that owns it does.
type Box struct {
	// MaxPackets and MaxBytes bound what is held.
	MaxPackets, MaxBytes int

	// Budget is what the parcels of this node take, and those of others that have no account.
	// Nil is no limit.
	Budget *memory.Budget

	// held are the parcels in the box by their ID.
	held  map[uint64]*Parcel
	last  uint64
	bytes int
	// total is what all the parcels together have counted for that were ever added.
	total uint64
	// usage is what each destination takes of the bounds, and sources what each source takes
	// of that.
	usage   map[string]usage
	sources map[flow]usage

	// earliest is not later than any deadline in the box, as if the time had not stood still.
	earliest time.Time

	// stood is for how long the time of the box has stood still.
	stood time.Duration
}

// Stand makes the time of the box stand still for so long: each deadline in the box comes later by that.
func (b *Box) Stand(d time.Duration) {
	b.stood += d
}

// Stood returns for how long the time of the box has stood still. For a parcel only what has come since
// its Stood counts.
func (b *Box) Stood() time.Duration {
	return b.stood
}

// Add takes a parcel, or returns ErrFull, or the error of the budget. An empty box takes
// any that the budget allows.
func (b *Box) Add(p *Parcel) error {
	size := p.Size()
	if len(b.held) > 0 && !b.admits(p, size) {
		return ErrFull
	}

	if !b.account(p).Reserve(size) {
		return memory.ErrExhausted
	}

	p.Stood = b.stood
	b.hold(p, size)

	return nil
}

// account returns the budget that a parcel takes its room from: that of the neighbour which it
// came from.
func (b *Box) account(p *Parcel) *memory.Budget {
	if p.Account != nil {
		return p.Account
	}

	return b.Budget
}

// admits tells whether a parcel leaves enough room for the others.
func (b *Box) admits(p *Parcel, size int) bool {
	one := usage{packets: 1, bytes: size}
	held := usage{packets: len(b.held), bytes: b.bytes}.plus(one)
	left := usage{packets: b.MaxPackets, bytes: b.MaxBytes}.minus(held)

	if left.packets < 0 || left.bytes < 0 {
		return false
	}

	for _, key := range p.Keys {
		dest := b.usage[key]
		if dest.packets == 0 {
			continue
		}

		// What the destination may still take is the room of which its sources have shares.
		all := dest.plus(one)
		source := b.sources[flow{key, p.Source}]

		if !all.fits(left) || source.packets > 0 && !source.plus(one).fits(all.spare(left)) {
			return false
		}
	}

	return true
}

// hold does the accounts of a new parcel.
func (b *Box) hold(p *Parcel, size int) {
	if b.held == nil {
		b.held = make(map[uint64]*Parcel)
		b.usage = make(map[string]usage)
		b.sources = make(map[flow]usage)
	}

	if expires := p.expires(); len(b.held) == 0 || expires.Before(b.earliest) {
		b.earliest = expires
	}

	b.last++
	p.ID = b.last

	if p.Rank == 0 {
		p.Rank = p.ID
	}

	p.Counted = size
	b.total += uint64(size)
	b.held[p.ID] = p
	b.bytes += size

	one := usage{packets: 1, bytes: size}

	for _, key := range p.Keys {
		f := flow{key, p.Source}
		b.usage[key] = b.usage[key].plus(one)
		b.sources[f] = b.sources[f].plus(one)
	}
}

// Reserve takes what a part of that size needs, if there is room for it. HoldPart or Return
// follows.
func (b *Box) Reserve(whole *Parcel, size int) bool {
	return len(b.held) < b.MaxPackets && b.bytes+size <= b.MaxBytes && b.account(whole).Reserve(size)
}

// Return gives back what Reserve has taken.
func (b *Box) Return(whole *Parcel, size int) {
	b.account(whole).Release(size)
}

// HoldPart takes a part of a parcel, for one of its destinations. Reserve has taken the
// room for it. The whole still counts for its full size, which is a few addresses too much.
func (b *Box) HoldPart(part, whole *Parcel) {
	b.discount(flow{part.Keys[0], whole.Source}, whole.Counted)
	part.Stood = whole.Stood
	b.hold(part, part.Counted)
}

// Rest gives back the memory of the accounts when the box is empty. It is called when nothing has
// happened for a while, because the next parcel needs that memory again.
func (b *Box) Rest() {
	if len(b.held) == 0 {
		b.held, b.usage, b.sources = nil, nil, nil
	}
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
	b.account(p).Release(p.Counted)

	for _, key := range p.Keys {
		b.discount(flow{key, p.Source}, p.Counted)
	}

	return true
}

// discount takes a parcel of that size out of the usage of a destination.
func (b *Box) discount(f flow, size int) {
	one := usage{packets: 1, bytes: size}

	b.usage[f.dest] = b.usage[f.dest].minus(one)
	if b.usage[f.dest].packets == 0 {
		delete(b.usage, f.dest)
	}

	b.sources[f] = b.sources[f].minus(one)
	if b.sources[f].packets == 0 {
		delete(b.sources, f)
	}
}

// Drain empties the box and returns what is left of the parcels in the order they came.
func (b *Box) Drain() []*Parcel {
	var parcels []*Parcel

	for _, p := range b.All() {
		b.account(p).Release(p.Counted)

		rest := p.rest(b.stood)
		if rest != nil {
			parcels = append(parcels, rest)
		}
	}

	b.held, b.usage, b.sources = nil, nil, nil
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

		if rest := p.rest(b.stood); rest != nil {
			taken = append(taken, rest)
		}
	}

	return taken
}

// Expire removes the parcels whose deadline has come, and returns them in the order they
// came.
func (b *Box) Expire(now time.Time) []*Parcel {
	now = now.Add(-b.stood)

	if b.earliest.After(now) {
		return nil
	}

	expired := b.inOrder(func(p *Parcel) bool { return !p.expires().After(now) })
	for _, p := range expired {
		b.Remove(p)
	}

	b.earliest = time.Time{}
	for _, p := range b.held {
		if expires := p.expires(); b.earliest.IsZero() || expires.Before(b.earliest) {
			b.earliest = expires
		}
	}

	return expired
}

// Earliest returns when Expire has something to do, if the box is not empty.
func (b *Box) Earliest() time.Time {
	return b.earliest.Add(b.stood)
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
	clone.sources = maps.Clone(b.sources)

	for id, p := range b.held {
		clone.held[id] = copyOf(p)
	}

	return &clone
}
