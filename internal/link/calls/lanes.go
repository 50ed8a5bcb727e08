// Package calls lets parcels leave in calls, one for each. Those for the same destinations
// wait for each other in a lane, and the lanes take turns.
//
// A lane that has so many parcels under way waits, so that a destination that does not
// answer holds up no other. A lane for several destinations that waits for too long is
// split. Nothing here has a lock: the link that owns it does.
package calls

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/parcel"
)

// Lanes are the parcels of a box that wait for a call, or are in one.
type Lanes struct {
	box *parcel.Box

	// perLane bounds the calls of one lane. With 0 there is a single lane without a
	// bound, and so one order for everything.
	perLane int

	lanes map[string]*lane
	// ready are the lanes that have a parcel which may leave, in turn.
	ready []*lane
	// due is when to look for lanes that are overdue, zero for never.
	due time.Time
}

// lane is the parcels that wait for each other.
type lane struct {
	key      string
	waiting  []*parcel.Parcel
	underway int
	ready    bool

	// divisible lanes are for several destinations at once. No call of such a lane has
	// been answered since it was full, zero if it was not, and overdue is set when that
	// is too long ago.
	divisible bool
	since     time.Time
	overdue   bool
}

// NewLanes returns the lanes for the parcels of a box.
func NewLanes(box *parcel.Box, perLane int) *Lanes {
	return &Lanes{box: box, perLane: perLane, lanes: make(map[string]*lane)}
}

// Push lets a parcel wait that the box holds.
func (b *Lanes) Push(p *parcel.Parcel) {
	if b.perLane > 0 {
		p.Lane = laneFor(p)
	}

	l := b.laneOf(p)

	// Only a part has others to go before.
	at := len(l.waiting)
	for at > 0 && l.waiting[at-1].Rank > p.Rank {
		at--
	}

	l.waiting = slices.Insert(l.waiting, at, p)
	b.refresh(l)
}

// Ready tells whether a parcel may leave.
func (b *Lanes) Ready() bool {
	return len(b.ready) > 0
}

// Due returns when Sweep has to look at the lanes, zero for never.
func (b *Lanes) Due() time.Time {
	return b.due
}

// Take returns the next parcel that may leave, or nil. The parcel stays in the box until
// its outcome is known. With an error it could not be split, and is in the box no more.
func (b *Lanes) Take() (*parcel.Parcel, error) {
	for len(b.ready) > 0 {
		l := b.ready[0]
		b.ready[0] = nil
		b.ready = b.ready[1:]
		l.ready = false

		switch {
		case len(l.waiting) == 0:
			b.refresh(l)
		case b.full(l):
			spoiled, err := b.split(l)
			if err != nil {
				return spoiled, err
			}
		default:
			return b.send(l), nil
		}
	}

	return nil, nil
}

// send returns the first parcel of a lane, as one that is under way.
func (b *Lanes) send(l *lane) *parcel.Parcel {
	p := l.pop()
	p.Mark()
	l.underway++

	if l.divisible && b.full(l) {
		b.watch(l)
	}

	b.refresh(l)

	return p
}

// Left notes that a parcel is not in the box any more. It need not have been under way.
func (b *Lanes) Left(p *parcel.Parcel) {
	if p.Sent {
		l := b.laneOf(p)
		l.underway--
		b.refresh(l)
	}
}

// Sweep forgets what has left the box at its deadline, and finds the lanes that are overdue.
func (b *Lanes) Sweep(expired []*parcel.Parcel, now time.Time) {
	if len(expired) > 0 {
		b.forget(expired)
	}

	b.findOverdue(now)
}

func (b *Lanes) forget(expired []*parcel.Parcel) {
	for _, p := range expired {
		b.Left(p)
	}

	for _, l := range b.lanes {
		l.waiting = slices.DeleteFunc(l.waiting, func(p *parcel.Parcel) bool { return !b.box.Holds(p) })
	}

	b.ready = slices.DeleteFunc(b.ready, func(l *lane) bool {
		l.ready = len(l.waiting) > 0

		return !l.ready
	})

	for _, l := range b.lanes {
		b.refresh(l)
	}
}

// Clear forgets everything: the box has been drained.
func (b *Lanes) Clear() {
	b.lanes, b.ready, b.due = make(map[string]*lane), nil, time.Time{}
}

// laneOf returns the lane of a parcel, and makes it if need be.
func (b *Lanes) laneOf(p *parcel.Parcel) *lane {
	l := b.lanes[p.Lane]
	if l == nil {
		l = &lane{key: p.Lane, divisible: b.perLane > 0 && p.Divisible()}
		b.lanes[p.Lane] = l
	}

	return l
}

// refresh puts a lane among the ready ones when it has become ready, and forgets
// it when it is empty.
func (b *Lanes) refresh(l *lane) {
	switch {
	case l.ready:
	case len(l.waiting) == 0 && l.underway == 0:
		delete(b.lanes, l.key)
	case len(l.waiting) > 0 && (l.overdue || !b.full(l)):
		l.ready = true
		b.ready = append(b.ready, l)
	}
}

// full tells whether as many parcels of the lane are under way as may be.
func (b *Lanes) full(l *lane) bool {
	return b.perLane > 0 && l.underway >= b.perLane
}

// pop takes the first parcel out of the lane.
func (l *lane) pop() *parcel.Parcel {
	p := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]

	return p
}

// laneFor returns the name of the lane of a parcel. The parcels for the same destinations
// wait for each other, so that a destination that does not answer holds up no other.
func laneFor(p *parcel.Parcel) string {
	if len(p.Keys) == 1 {
		return p.Keys[0]
	}

	// A sum stands for a list that may be long. Two lists with the same sum only wait
	// for each other.
	var sum maphash.Hash

	sum.SetSeed(laneSeed)

	// What cannot be split has a lane of its own, so that it is in nobody's way.
	if !p.Divisible() {
		_ = sum.WriteByte(0)
	}

	for _, key := range p.Keys {
		_, _ = sum.WriteString(key)
		_ = sum.WriteByte(0)
	}

	return string(binary.LittleEndian.AppendUint64(nil, sum.Sum64()))
}

var laneSeed = maphash.MakeSeed()
