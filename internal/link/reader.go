package link

import (
	"errors"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link/frames"
	"github.com/minogrpc/session/ptypes"
)

// errSuperseded ends the reading of a stream that is not the current one any more.
var errSuperseded = errors.New("another stream has taken its place")

// read takes the frames of a stream until that ends.
func (d *duplex) read(stream Stream) error {
	for {
		frame, err := receive(stream)
		if err == nil {
			err = d.handle(stream, frame)
			// What is due to a frame is put together: the receipts, above all.
			d.flush()
		}

		if err != nil {
			return err
		}
	}
}

// receive calls what may not be ours.
func receive(stream Stream) (frame *ptypes.Packet, err error) {
	defer contain.Recover(&err)

	return stream.Recv()
}

// handle does what a frame says. Nothing in it waits for anything: the reader must
// always be there for the next sign of life.
func (d *duplex) handle(stream Stream, frame *ptypes.Packet) error {
	l := d.link

	d.frameMu.Lock()
	defer d.frameMu.Unlock()

	content, err := d.admit(stream, frame)
	if err != nil {
		return err
	}

	var arrivals []frames.Arrival

	if content {
		// There may be much to copy, and nobody else touches that.
		arrivals, err = d.machine.Assemble(frame)
		if err != nil {
			return err
		}
	}

	stalled := d.machine.Lagging()
	answers, goodbye := d.apply(frame, content, arrivals)

	for _, a := range answers {
		l.answered(a.Parcel, a.Answer())
	}

	if len(arrivals) > 0 {
		l.tell(func() { l.Owner.Arrived(l, arrivals) })
	}

	l.mu.Lock()
	d.taking = false
	d.machine.Told(answers, arrivals)
	cut, turned := d.machine.Turned()
	took, measured := d.machine.Measured()
	l.flushedLocked()
	l.mu.Unlock()

	if turned {
		l.tell(func() { l.Owner.Turned(l, cut) })
	}

	if measured {
		l.tell(func() { l.Owner.Measured(l, took) })
	}

	if stalled != nil {
		l.tell(func() { l.Owner.Stalled(l, stalled) })
	}

	if goodbye {
		l.tell(func() { l.Owner.Goodbye(l) })
	}

	return nil
}

// admit asks the machine whether a frame counts.
func (d *duplex) admit(stream Stream, frame *ptypes.Packet) (content bool, err error) {
	d.link.mu.Lock()
	defer d.link.mu.Unlock()

	if d.stream != stream || d.link.state > closing {
		return false, errSuperseded
	}

	return d.machine.Admit(frame, time.Now())
}

// apply takes the parcels out of the outbox that a frame is about. Until the owner has been
// told about the frame, nobody is woken to write: the reader does that after it.
func (d *duplex) apply(
	frame *ptypes.Packet, content bool, arrivals []frames.Arrival,
) (answers []frames.Answered, goodbye bool) {
	d.link.mu.Lock()
	defer d.link.mu.Unlock()

	d.taking = true
	d.link.received.Packets += uint64(len(arrivals))

	for _, a := range arrivals {
		d.link.received.Bytes += uint64(len(a.GetHeader()) + len(a.GetBody()))
	}

	goodbye = d.machine.Part(frame)

	if content {
		answers = d.machine.Settle(frame)
	}

	return answers, goodbye
}
