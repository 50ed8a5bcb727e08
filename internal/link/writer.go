package link

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link/frames"
	"github.com/minogrpc/session/ptypes"
)

// writer is the goroutine that writes frames, and who else does. It belongs to the lock of
// the link.
type writer struct {
	// writing is set while somebody has the turn to write. Most of the time that is a
	// goroutine of the link, which rests in between, until there is more. It retires
	// when there has been nothing but heartbeats for a while.
	writing, resting, retire bool
	more                     chan struct{}

	// said is closed when the goodbye is written. shut tells then whether the neighbour
	// ends the stream after it.
	said chan struct{}
	shut bool
}

func newWriter() writer {
	return writer{more: make(chan struct{}, 1), said: make(chan struct{})}
}

// written is a frame on its way to a stream.
type written struct {
	stream Stream
	epoch  uint64
	frame  *ptypes.Packet
	// parcels are those that leave with it.
	parcels []*Parcel
}

// wake makes sure that somebody writes what there is to write. While a frame is
// being taken, that is who takes it.
func (d *duplex) wake() {
	if d.taking || !d.idleLocked() {
		return
	}

	d.writing = true

	if d.resting {
		d.stir()
	} else {
		d.link.wg.Add(1)

		go d.write()
	}
}

// idleLocked tells whether there is something to write, and nobody who does.
func (d *duplex) idleLocked() bool {
	return !d.writing && d.writableLocked() && d.machine.Due()
}

func (d *duplex) writableLocked() bool {
	return d.stream != nil && d.machine.Writable() && d.link.state <= closing
}

// stir makes the goroutine that rests look again.
func (d *duplex) stir() {
	d.resting = false
	d.more <- struct{}{}
}

// flush writes a frame here and now if the neighbour has received all those before, for
// which no stream makes anybody wait. It saves the time that it takes to wake a
// goroutine. Otherwise that writes, which also puts more into a frame.
func (d *duplex) flush() {
	l := d.link

	l.mu.Lock()

	if d.machine.Unread() || !d.idleLocked() {
		d.wake()
		l.mu.Unlock()

		return
	}

	d.writing = true
	w := d.nextLocked()
	l.mu.Unlock()

	if w.frame != nil {
		d.writeFrame(w)
	}

	l.mu.Lock()
	d.writing = false
	d.wake()
	l.flushedLocked()
	l.mu.Unlock()
}

// write writes frames until it is told to retire, or the stream takes no more.
func (d *duplex) write() {
	defer d.link.wg.Done()

	for {
		w, rest := d.nextFrame()

		switch {
		case w.frame != nil:
			d.writeFrame(w)
		case !rest:
			return
		default:
			<-d.more
			// Whoever has woken it is often one of many that are about to: what they
			// bring goes into the same frame.
			runtime.Gosched()
		}
	}
}

func (d *duplex) writeFrame(w written) {
	l := d.link

	err := send(w.stream, w.frame)
	if err != nil {
		l.mu.Lock()
		d.machine.Stalled(w.epoch, w.frame.GetFrame(), w.parcels)
		l.mu.Unlock()

		return
	}

	for _, p := range w.parcels {
		l.tell(func() { l.Owner.Sent(l, p) })
	}

	d.machine.Recycle(w.parcels)

	if w.frame.GetGoodbye() {
		d.shut = shut(w.stream)
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

// nextFrame returns what is to be written next. When there is nothing, the goroutine has to
// rest, or, without a stream, to end.
func (d *duplex) nextFrame() (w written, rest bool) {
	l := d.link

	l.mu.Lock()
	defer l.mu.Unlock()

	w = d.nextLocked()
	if w.frame != nil {
		return w, false
	}

	d.writing = false
	d.resting = d.writableLocked() && !d.retire
	l.flushedLocked()

	return w, d.resting
}

// nextLocked returns the next frame, or none. It belongs to who has the turn to write.
func (d *duplex) nextLocked() written {
	for d.writableLocked() {
		d.readingLocked()

		frame, parcels := d.machine.Next(time.Now())
		if frame != nil {
			return written{stream: d.stream, epoch: d.epoch, frame: frame, parcels: parcels}
		}

		if !d.composeLocked() {
			break
		}
	}

	return written{}
}

// readingLocked tells the machine what has come over the connection of the stream, if the
// stream knows.
func (d *duplex) readingLocked() {
	m, ok := d.stream.(Metered)
	if !ok {
		return
	}

	// It may not be ours.
	r, err := contain.Call(func() (reading, error) {
		bytes, last, ok := m.Reads()

		return reading{bytes, last, ok}, nil
	})
	if err == nil && r.known {
		d.machine.Connection(r.bytes, r.last)
	}
}

// reading is what a stream knows about its connection.
type reading struct {
	bytes uint64
	last  time.Time
	known bool
}

// composeLocked has a frame made of what waits. It gives the lock away while packets are
// encoded. It returns false when nothing waits.
func (d *duplex) composeLocked() bool {
	l := d.link

	draft, ok := d.machine.Draft()
	if !ok {
		return false
	}

	d.retire = false

	stood := l.box.Stood()

	if len(draft.Parcels) > 0 {
		l.mu.Unlock()
		d.encode(&draft, stood)
		l.mu.Lock()
	}

	large := d.machine.Compose(draft)
	if large == nil {
		return true
	}

	l.mu.Unlock()

	wire := &ptypes.Parcel{Header: make([]byte, 0, large.HeaderRoom())}

	err := d.wire(large, wire, time.Now().Add(-stood))
	if err != nil {
		d.refuse(large, err)

		wire = nil
	}

	l.mu.Lock()
	d.machine.Begin(large, wire)

	return true
}

// encode puts the packets into a frame, and leaves out those that cannot be. The time of the outbox has
// stood still for so long.
func (d *duplex) encode(draft *frames.Draft, stood time.Duration) {
	encoded := draft.Parcels[:0]
	now := time.Now().Add(-stood)

	// All of them stay as long as the frame, and share the memory.
	wires := make([]ptypes.Parcel, len(draft.Parcels))
	draft.Frame.Parcels = make([]*ptypes.Parcel, 0, len(draft.Parcels))

	size := 0
	for _, p := range draft.Parcels {
		size += p.HeaderRoom()
	}

	headers := make([]byte, size)

	for i, p := range draft.Parcels {
		wire, room := &wires[i], p.HeaderRoom()
		wire.Header, headers = headers[:0:room], headers[room:]

		err := d.wire(p, wire, now)
		if err != nil {
			d.refuse(p, err)
		} else {
			draft.Frame.Parcels = append(draft.Frame.Parcels, wire)
			encoded = append(encoded, p)
		}
	}

	draft.Parcels = encoded
}

// wire fills in a parcel as it travels, at a time of the outbox.
func (d *duplex) wire(p *Parcel, wire *ptypes.Parcel, now time.Time) error {
	wire.Id = p.ID
	wire.Origin = p.Origin
	wire.Sequence = p.Sequence
	wire.HopLimit = p.HopLimit
	wire.BudgetMs = BudgetFor(p.Deadline.Add(-p.Stood).Sub(now))
	wire.Unordered = p.Unordered
	wire.News = p.News()
	wire.Trace = p.Trace()

	err := d.encodePacket(p, wire)
	if err != nil && !errors.Is(err, ErrPacket) {
		// A panic, too, is about this packet, and no loss of the neighbour.
		err = fmt.Errorf("%w: %w", ErrPacket, err)
	}

	return err
}

// encodePacket calls what is not ours.
func (d *duplex) encodePacket(p *Parcel, wire *ptypes.Parcel) (err error) {
	defer contain.Recover(&err)

	return d.Encode(p, wire)
}

// refuse reports a parcel that cannot be sent.
func (d *duplex) refuse(p *Parcel, err error) {
	l := d.link

	l.mu.Lock()
	removed := l.removeLocked(p)
	l.mu.Unlock()

	if removed {
		l.failed(p, err)
	}
}
