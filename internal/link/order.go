package link

// order holds the parcels of a duplex link that have not been written yet, in two
// lanes. What fits into a frame with others passes by a large message that leaves in
// chunks, unless it is for one of the same destinations and of the same origin: the
// messages of one sender to one receiver keep their order. It belongs to the lock
// of its link.
type order struct {
	// limit is the size from which a parcel is large, in bytes.
	limit int

	small, large fifo[*Parcel]
	// behind counts the parcels in the large lane by their origin and destination.
	behind map[string]int
}

// push appends a parcel to the lane that it belongs to.
func (o *order) push(p *Parcel) {
	if p.size <= o.limit && !o.follows(p) {
		o.small.push(p)

		return
	}

	if o.behind == nil {
		o.behind = make(map[string]int)
	}

	o.large.push(p)
	for _, key := range p.Keys {
		o.behind[flow(p, key)]++
	}
}

// follows tells whether an earlier parcel of the same flow is in the large lane.
func (o *order) follows(p *Parcel) bool {
	if len(o.behind) == 0 {
		return false
	}

	for _, key := range p.Keys {
		if o.behind[flow(p, key)] > 0 {
			return true
		}
	}

	return false
}

// left notes that a parcel of the large lane has been written, or given up.
func (o *order) left(p *Parcel) {
	for _, key := range p.Keys {
		f := flow(p, key)

		o.behind[f]--
		if o.behind[f] == 0 {
			delete(o.behind, f)
		}
	}
}

// flow names the messages of one sender to one receiver.
func flow(p *Parcel, key string) string {
	return string(p.Origin) + key
}

// takeSmall takes the first parcel of the small lane that is still wanted.
func (o *order) takeSmall(wanted func(*Parcel) bool) *Parcel {
	for o.small.len() > 0 {
		p := o.small.pop()
		if wanted(p) {
			return p
		}
	}

	return nil
}

// takeLarge is takeSmall for the other lane. The parcel is followed until left is
// called for it.
func (o *order) takeLarge(wanted func(*Parcel) bool) *Parcel {
	for o.large.len() > 0 {
		p := o.large.pop()
		if wanted(p) {
			return p
		}

		o.left(p)
	}

	return nil
}

// clear forgets all parcels.
func (o *order) clear() {
	o.small, o.large, o.behind = fifo[*Parcel]{}, fifo[*Parcel]{}, nil
}
