package link

import (
	"runtime"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/ptypes"
)

// wakeLocked makes sure that somebody writes what there is to write. While a frame is
// being taken, that is who takes it.
func (d *duplex) wakeLocked() {
	if d.taking || !d.idleLocked() {
		return
	}

	d.writing = true

	if d.resting {
		d.stirLocked()
	} else {
		d.link.wg.Add(1)

		go d.write()
	}
}

// idleLocked tells whether there is something to write, and nobody who does.
func (d *duplex) idleLocked() bool {
	return !d.writing && d.writableLocked() && d.dueLocked()
}

// stirLocked makes the goroutine that rests look again.
func (d *duplex) stirLocked() {
	d.resting = false
	d.more <- struct{}{}
}

// Flush sees to it that what has been added leaves. It is called after Add, when no
// lock is held any more.
func (l *Link) Flush() {
	if _, d := l.over(); d != nil {
		d.flush()
	}
}

// flush writes a frame here and now if the neighbour has received all those before, for
// which no stream makes anybody wait. It saves the time that it takes to wake a
// goroutine. Otherwise that writes, which also puts more into a frame.
func (d *duplex) flush() {
	l := d.link

	l.mu.Lock()

	if d.unread.len() > 0 || !d.idleLocked() {
		d.wakeLocked()
		l.mu.Unlock()

		return
	}

	d.writing = true
	stream, frame, parcels := d.frameLocked()
	l.mu.Unlock()

	if frame != nil {
		d.writeFrame(stream, frame, parcels)
	}

	l.mu.Lock()
	d.writing = false
	d.wakeLocked()
	l.flushedLocked()
	l.mu.Unlock()
}

// writableLocked tells whether the stream takes frames. After the goodbye it takes none:
// another would be the end of the stream, and cost the neighbour the goodbye.
func (d *duplex) writableLocked() bool {
	return d.stream != nil && !d.failed && !d.left && d.link.state <= closing
}

// dueLocked tells whether there is something to write.
func (d *duplex) dueLocked() bool {
	return d.contentLocked() || d.beat || d.farewell || d.resend < d.unread.len()
}

// busyLocked tells whether something is being written, or will be.
func (d *duplex) busyLocked() bool {
	return d.writing || d.dueLocked()
}

func (d *duplex) contentLocked() bool {
	if d.unread.len() >= maxUnread || d.unreadBytes >= maxUnreadBytes {
		return false
	}

	return len(d.receipts) > 0 || len(d.delivered) > 0 || d.transfer != nil ||
		d.order.len() > 0 && d.unsettled < MaxUnsettled
}

// write writes frames until it is told to retire, or the stream takes no more.
func (d *duplex) write() {
	defer d.link.wg.Done()

	for {
		stream, frame, parcels := d.nextFrame()

		switch {
		case frame != nil:
			d.writeFrame(stream, frame, parcels)
		case stream == nil:
			return
		default:
			<-d.more
			// Whoever has woken it is often one of many that are about to: what they
			// bring goes into the same frame.
			runtime.Gosched()
		}
	}
}

func (d *duplex) writeFrame(stream Stream, frame *ptypes.Packet, parcels []*Parcel) {
	err := send(stream, frame)
	if err != nil {
		d.stall(stream, frame.GetFrame(), parcels)

		return
	}

	for _, p := range parcels {
		d.link.tell(func() { d.link.Owner.Sent(d.link, p) })
	}

	d.spare = emptied(parcels)

	if frame.GetGoodbye() {
		d.shut = shut(stream)
		close(d.said)
	}
}

// send calls what may not be ours.
func send(stream Stream, frame *ptypes.Packet) (err error) {
	defer contain.Recover(&err)

	return stream.Send(frame)
}

// shut calls what may not be ours.
func shut(stream Stream) bool {
	ends, err := contain.Call(func() (bool, error) { return stream.Shut(), nil })

	return ends && err == nil
}

// stall notes that a stream takes no more frames. The parcels in the one that it has
// not taken will leave with another stream.
func (d *duplex) stall(stream Stream, number uint64, parcels []*Parcel) {
	d.link.mu.Lock()
	defer d.link.mu.Unlock()

	if confirmed := d.confirmedLocked(); number > confirmed {
		d.unread.at(int(number - confirmed - 1)).parcels = parcels
	}

	if d.stream == stream {
		d.failed = true
	}
}

// nextFrame returns what is to be written next, and where. It returns no frame when
// there is nothing: then the goroutine has to rest, or, without a stream, to end.
func (d *duplex) nextFrame() (Stream, *ptypes.Packet, []*Parcel) {
	l := d.link

	l.mu.Lock()
	defer l.mu.Unlock()

	stream, frame, parcels := d.frameLocked()
	if frame != nil {
		return stream, frame, parcels
	}

	d.writing = false
	d.resting = d.writableLocked() && !d.retire
	l.flushedLocked()

	if d.resting {
		return d.stream, nil, nil
	}

	return nil, nil, nil
}

// frameLocked returns the next frame, or none. It belongs to who has the turn.
func (d *duplex) frameLocked() (Stream, *ptypes.Packet, []*Parcel) {
	for d.writableLocked() {
		if d.resend < d.unread.len() {
			next := d.unread.at(d.resend)
			parcels := next.parcels
			next.parcels = nil
			d.resend++

			return d.stream, d.stampLocked(next.frame), parcels
		}

		if !d.contentLocked() {
			frame := d.signLocked()
			if frame == nil {
				break
			}

			return d.stream, frame, nil
		}

		d.composeLocked()
	}

	return nil, nil, nil
}

// stampLocked adds what goes with every frame.
func (d *duplex) stampLocked(frame *ptypes.Packet) *ptypes.Packet {
	frame.Received = d.received
	d.untold = 0
	d.beat = false

	return frame
}

// signLocked returns a frame without content, if one is asked for.
func (d *duplex) signLocked() *ptypes.Packet {
	switch {
	case d.farewell:
		d.farewell, d.left = false, true

		return d.stampLocked(&ptypes.Packet{Goodbye: true})
	case d.beat:
		return d.stampLocked(&ptypes.Packet{})
	default:
		return nil
	}
}
