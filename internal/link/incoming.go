package link

import (
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/ptypes"
)

// ackEvery is how much may come, in bytes of the messages, before the neighbour is
// told so even if there is nothing else to tell.
const ackEvery = 256 << 10

// errSuperseded ends the reading of a stream that is not the current one any more.
var errSuperseded = errors.New("another stream has taken its place")

// Arrival is a parcel that has come over a duplex link.
type Arrival struct {
	*ptypes.Parcel

	// Err is why the message is not there, [ErrTooLarge] or the error of the budget.
	// The parcel then has neither header nor body.
	Err error
}

// incoming is what a duplex link reads. It belongs to the lock of the link.
type incoming struct {
	// received is the number of the last frame with content, and untold how much has
	// come since the neighbour was told.
	received uint64
	untold   int

	// unanswered counts the parcels that have not got their last receipt.
	unanswered int

	// taking is set while the owner is told about a frame: answers and arrivals, which
	// belong to the turn.
	taking   bool
	answers  []answered
	arrivals []Arrival

	// over is set when the neighbour has said goodbye.
	over bool
}

// answered is a parcel of this end with what a frame says about it.
type answered struct {
	parcel  *Parcel
	receipt *ptypes.Receipt
}

func (a answered) answer() Answer {
	r := a.receipt

	return Answer{Failures: r.GetFailures(), Reached: r.GetReached(), Last: r.GetLast()}
}

// read takes the frames of a stream until that ends.
func (d *duplex) read(stream Stream) error {
	for {
		frame, err := receive(stream)
		if err == nil {
			err = d.take(stream, frame)
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

// take does what a frame says. Nothing in it waits for anything: the reader must
// always be there for the next sign of life.
func (d *duplex) take(stream Stream, frame *ptypes.Packet) error {
	l := d.link

	d.turn.Lock()
	defer d.turn.Unlock()

	content, err := d.admit(stream, frame)
	if err != nil {
		return err
	}

	var arrivals []Arrival

	if content {
		arrivals, err = d.assemble(frame)
		if err != nil {
			return err
		}
	}

	l.mu.Lock()
	goodbye := frame.GetGoodbye() && !d.over
	d.over = d.over || goodbye
	d.taking = true

	var answers []answered
	if content {
		answers = d.answersLocked(frame)
	}
	l.mu.Unlock()

	for _, a := range answers {
		l.answered(a.parcel, a.answer())
	}

	for _, a := range arrivals {
		l.tell(func() { l.Owner.Arrived(l, a) })
	}

	// What was in the frame may be large.
	d.answers, d.arrivals = emptied(answers), emptied(arrivals)

	l.mu.Lock()
	d.taking = false

	d.beat = d.beat || d.untold >= ackEvery
	l.flushedLocked()
	l.mu.Unlock()

	if goodbye {
		l.tell(func() { l.Owner.Goodbye(l) })
	}

	return nil
}

// emptied returns the memory of a list for the next frame, unless it is much.
func emptied[T any](list []T) []T {
	if cap(list) > keep {
		return nil
	}

	clear(list)

	return list[:0]
}

// admit notes that a frame has come, and tells whether it has content. It returns an
// error when the frame is not the one that is expected.
func (d *duplex) admit(stream Stream, frame *ptypes.Packet) (content bool, err error) {
	d.link.mu.Lock()
	defer d.link.mu.Unlock()

	if d.stream != stream || d.link.state > closing {
		return false, errSuperseded
	}

	d.heard = time.Now()

	if err := d.confirmLocked(frame.GetReceived()); err != nil {
		return false, err
	}

	if frame.GetFrame() == 0 {
		return false, nil
	}

	if frame.GetFrame() != d.received+1 {
		return false, fmt.Errorf("%w: frame %d after %d", errProtocol, frame.GetFrame(), d.received)
	}

	d.received++
	d.untold += contentSize(frame)
	d.unanswered += len(frame.GetParcels())

	if d.unanswered > 2*MaxUnsettled {
		return false, fmt.Errorf("%w: more than %d parcels without an outcome", errProtocol, MaxUnsettled)
	}

	return true, nil
}

// contentSize returns the bytes of the messages in a frame, and one for the frame.
func contentSize(frame *ptypes.Packet) int {
	size := 1

	for _, c := range frame.GetChunks() {
		size += len(c.GetData())
	}

	for _, p := range frame.GetParcels() {
		size += len(p.GetBody())
	}

	return size
}

// answersLocked finds the parcels that the receipts of a frame are about. What is
// not in the outbox is ignored: it has been settled already.
func (d *duplex) answersLocked(frame *ptypes.Packet) []answered {
	if len(frame.GetReceipts())+len(frame.GetDelivered()) == 0 {
		return nil
	}

	l := d.link
	answers := d.answers

	add := func(id uint64, last bool, r *ptypes.Receipt) {
		if last {
			d.unsettled = max(d.unsettled-1, 0)
		}

		p := l.box.held[id]
		if p == nil || !p.Sent {
			return
		}

		if last {
			l.removeLocked(p)
		} else {
			// In the same step as it is looked up: whoever drains the link must leave out
			// what the owner is about to be told.
			p.note(r)
		}

		answers = append(answers, answered{parcel: p, receipt: r})
	}

	for _, r := range frame.GetReceipts() {
		add(r.GetParcelId(), r.GetLast(), r)
	}

	for _, id := range frame.GetDelivered() {
		add(id, true, deliveredAll)
	}

	d.wakeLocked()

	return answers
}

// deliveredAll is the receipt of a parcel that has reached all its destinations.
var deliveredAll = &ptypes.Receipt{Last: true}
