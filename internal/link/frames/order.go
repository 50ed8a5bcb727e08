package frames

import (
	"github.com/minogrpc/session/internal/fifo"
	"github.com/minogrpc/session/internal/parcel"
)

// order holds the parcels of a duplex link that have not been written yet, in two
// lanes. What fits into a frame with others passes by a large message that leaves in
// chunks, unless it is for one of the same destinations and of the same sender: the
// messages of one sender to one receiver keep their order. It belongs to the lock
// of its link.
//
// Nothing passes by what has been added before it and is small: a large message
// waits until that has left.
type order struct {
	// limit is the size from which a parcel is large, in bytes.
	limit int

	small, large fifo.List[*parcel.Parcel]
	// heaviest is not less than the size of any parcel in the small lane.
	heaviest int
	// behind counts the parcels in the large lane by their flow, and the one that is
	// leaving in chunks with them.
	behind  map[flow]int
	leaving *parcel.Parcel
}

// flow names the messages of one sender to one receiver. The origin alone would do if it
// were a secret of the sender: but who passes a message on learns it, and a large message
// of its own must hold up nobody else's.
type flow struct {
	source, origin, dest string
}

// push appends a parcel to the lane that it belongs to.
func (o *order) push(p *parcel.Parcel) {
	if p.Length() <= o.limit && !o.follows(p) {
		o.small.Push(p)
		o.heaviest = max(o.heaviest, p.Length())

		return
	}

	o.large.Push(p)
	o.follow(p)
}

// follow makes later parcels of the same flows wait for that one.
func (o *order) follow(p *parcel.Parcel) {
	if o.behind == nil {
		o.behind = make(map[flow]int)
	}

	for _, key := range p.Keys {
		o.behind[flowOf(p, key)]++
	}
}

// resize changes the size from which a parcel is large. What is in the large lane stays there,
// and leaves in one piece when it is its turn if it is small now. What has become large is put
// into that lane, with what follows it: then all find their lanes anew, in the order in which
// they were added.
func (o *order) resize(limit int) {
	o.limit = limit
	if o.heaviest <= limit {
		return
	}

	small, large := o.small, o.large
	o.small, o.large = fifo.List[*parcel.Parcel]{}, fifo.List[*parcel.Parcel]{}
	o.behind, o.heaviest = nil, 0

	if o.leaving != nil {
		o.follow(o.leaving)
	}

	for small.Len()+large.Len() > 0 {
		if large.Len() == 0 || small.Len() > 0 && (*small.At(0)).ID < (*large.At(0)).ID {
			o.push(small.Pop())
		} else {
			o.push(large.Pop())
		}
	}
}

// follows tells whether an earlier parcel of the same flow is in the large lane.
func (o *order) follows(p *parcel.Parcel) bool {
	if len(o.behind) == 0 {
		return false
	}

	for _, key := range p.Keys {
		if o.behind[flowOf(p, key)] > 0 {
			return true
		}
	}

	return false
}

// unfollow notes that a parcel of the large lane has been written, or given up.
func (o *order) unfollow(p *parcel.Parcel) {
	for _, key := range p.Keys {
		f := flowOf(p, key)

		o.behind[f]--
		if o.behind[f] == 0 {
			delete(o.behind, f)
		}
	}
}

func flowOf(p *parcel.Parcel, dest string) flow {
	return flow{p.Source, string(p.Origin), dest}
}

// len returns the number of parcels that wait.
func (o *order) len() int {
	return o.small.Len() + o.large.Len()
}

// first returns the parcel that is the next to leave in one piece, or nil. Those that
// only follow a large one do so, too, once that is gone.
func (o *order) first() *parcel.Parcel {
	switch {
	case o.largeIsNext() && (*o.large.At(0)).Length() <= o.limit:
		return *o.large.At(0)
	case o.small.Len() > 0:
		return *o.small.At(0)
	default:
		return nil
	}
}

// largeIsNext tells whether the first of the large lane may leave.
func (o *order) largeIsNext() bool {
	return o.large.Len() > 0 && o.leaving == nil &&
		(o.small.Len() == 0 || (*o.large.At(0)).ID < (*o.small.At(0)).ID)
}

// take takes out what first has returned.
func (o *order) take(p *parcel.Parcel) {
	if o.small.Len() > 0 && *o.small.At(0) == p {
		o.small.Pop()
	} else {
		o.unfollow(o.large.Pop())
	}
}

// begin takes out the first of the large lane, if it may leave. It is followed until
// the end.
func (o *order) begin() *parcel.Parcel {
	if !o.largeIsNext() || (*o.large.At(0)).Length() <= o.limit {
		return nil
	}

	o.leaving = o.large.Pop()

	return o.leaving
}

// end notes that the parcel that begin has returned is gone.
func (o *order) end() {
	if o.leaving != nil {
		o.unfollow(o.leaving)
		o.leaving = nil
	}
}

// retain forgets the parcels that are not wanted any more. What is leaving stays.
func (o *order) retain(wanted func(*parcel.Parcel) bool) {
	small, large := o.small, o.large
	o.small, o.large = fifo.List[*parcel.Parcel]{}, fifo.List[*parcel.Parcel]{}

	for small.Len() > 0 {
		if p := small.Pop(); wanted(p) {
			o.small.Push(p)
		}
	}

	for large.Len() > 0 {
		if p := large.Pop(); wanted(p) {
			o.large.Push(p)
		} else {
			o.unfollow(p)
		}
	}
}

// clear forgets all parcels.
func (o *order) clear() {
	*o = order{limit: o.limit}
}
