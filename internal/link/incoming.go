package link

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/chunk"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/ptypes"
)

// ackEvery is how much may come, in bytes of the messages, before the neighbour is
// told so even if there is nothing else to tell.
const ackEvery = 256 << 10

// step is by how much the memory for a large message grows at least, in bytes.
const step = 1 << 20

// ErrTooLarge is the error of a message that is larger than the link takes.
var ErrTooLarge = errors.New("the message is too large")

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

	// partial is the large message that is being read.
	partial partial

	// unanswered counts the parcels that have not got their last receipt.
	unanswered int

	// taking is set while the owner is told about a frame: answers and arrivals, which
	// belong to the turn.
	taking   bool
	answers  []answer
	arrivals []Arrival

	// over is set when the neighbour has said goodbye.
	over bool
}

// partial is the part of a large message that has come. Its memory grows with that,
// and not with the size that the neighbour announces.
type partial struct {
	id   uint64
	size int
	data []byte
	err  error
}

// answer is what a frame says about a parcel of this end.
type answer struct {
	parcel  *Parcel
	receipt *ptypes.Receipt
}

// read takes the frames of a stream until that ends.
func (d *duplex) read(stream Stream) error {
	for {
		frame, err := contain.Call(stream.Recv)
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

// take does what a frame says. Nothing in it waits for anything: the reader must
// always be there for the next sign of life.
func (d *duplex) take(stream Stream, frame *ptypes.Packet) error {
	l := d.link

	d.turn.Lock()
	defer d.turn.Unlock()

	l.mu.Lock()

	answers, arrivals, err := d.takeFrameLocked(stream, frame)
	goodbye := err == nil && frame.GetGoodbye() && !d.over

	if goodbye {
		d.over = true
	}

	d.taking = true
	l.mu.Unlock()

	for _, a := range answers {
		l.Owner.Receipt(l, a.parcel, a.receipt)
	}

	for _, a := range arrivals {
		l.Owner.Arrived(l, a)
	}

	// What was in the frame may be large.
	d.answers, d.arrivals = emptied(answers), emptied(arrivals)

	l.mu.Lock()
	d.taking = false

	d.beat = d.beat || d.untold >= ackEvery
	l.flushedLocked()
	l.mu.Unlock()

	if goodbye {
		l.Owner.Goodbye(l)
	}

	return err
}

// emptied returns the memory of a list for the next frame, unless it is much.
func emptied[T any](list []T) []T {
	if cap(list) > keep {
		return nil
	}

	clear(list)

	return list[:0]
}

// takeFrameLocked notes what has come, and returns what the owner has to be told.
func (d *duplex) takeFrameLocked(stream Stream, frame *ptypes.Packet) ([]answer, []Arrival, error) {
	if d.stream != stream || d.link.state > closing {
		return nil, nil, errSuperseded
	}

	d.heard = time.Now()

	if err := d.confirmLocked(frame.GetReceived()); err != nil {
		return nil, nil, err
	}

	if frame.GetFrame() == 0 {
		return nil, nil, nil
	}

	if frame.GetFrame() != d.received+1 {
		return nil, nil, fmt.Errorf("%w: frame %d after %d", errProtocol, frame.GetFrame(), d.received)
	}

	d.received++
	d.untold++

	for _, c := range frame.GetChunks() {
		d.untold += len(c.GetData())

		if err := d.chunkLocked(c); err != nil {
			return nil, nil, err
		}
	}

	arrivals, err := d.arrivalsLocked(frame)
	if err != nil {
		return nil, nil, err
	}

	return d.answersLocked(frame), arrivals, nil
}

// answersLocked finds the parcels that the receipts of a frame are about. What is
// not in the outbox is ignored: it has been settled already.
func (d *duplex) answersLocked(frame *ptypes.Packet) []answer {
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
		}

		answers = append(answers, answer{parcel: p, receipt: r})
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

// arrivalsLocked puts together what has come.
func (d *duplex) arrivalsLocked(frame *ptypes.Packet) ([]Arrival, error) {
	parcels := frame.GetParcels()
	if len(parcels) == 0 {
		return nil, nil
	}

	d.unanswered += len(parcels)
	if d.unanswered > 2*MaxUnsettled {
		return nil, fmt.Errorf("%w: more than %d parcels without an outcome", errProtocol, MaxUnsettled)
	}

	arrivals := slices.Grow(d.arrivals, len(parcels))[:len(parcels)]

	for i, p := range parcels {
		if p.GetId() == 0 {
			return nil, fmt.Errorf("%w: a parcel without a number", errProtocol)
		}

		arrivals[i].Parcel = p
		d.untold += len(p.GetBody())

		if p.GetChunked() == 0 {
			continue
		}

		if p.GetChunked() != d.partial.id {
			return nil, fmt.Errorf("%w: chunks %d are not there", errProtocol, p.GetChunked())
		}

		d.growLocked(p.GetBody(), uint64(d.partial.size+len(p.GetBody())))

		p.Body, arrivals[i].Err = d.partial.data, d.partial.err
		if arrivals[i].Err != nil {
			p.Header = nil
		}

		d.dropPartialLocked()
	}

	return arrivals, nil
}

// chunkLocked adds a piece to the large message. The first piece of another one takes
// the place of what was there: its sender has given that up.
func (d *duplex) chunkLocked(c *ptypes.Chunk) error {
	if c.GetOffset() == 0 {
		d.dropPartialLocked()
		d.partial.id = c.GetId()
	}

	if c.GetId() == 0 || c.GetId() != d.partial.id || c.GetOffset() != uint64(d.partial.size) {
		return fmt.Errorf("%w: chunk %d at %d", errProtocol, c.GetId(), c.GetOffset())
	}

	d.growLocked(c.GetData(), c.GetTotal())
	chunk.Put(c.GetData())
	c.Data = nil

	return nil
}

// growLocked appends to the large message, within the limit and the budget. Past
// them only the size is counted.
func (d *duplex) growLocked(data []byte, total uint64) {
	p := &d.partial
	p.size += len(data)

	if p.err != nil {
		return
	}

	if p.size > d.MaxBody || total > uint64(d.MaxBody) {
		d.failPartialLocked(ErrTooLarge)

		return
	}

	if p.size > cap(p.data) {
		want := max(p.size, min(int(total), max(2*cap(p.data), step)))
		if !d.link.Budget.Reserve(want - cap(p.data)) {
			d.failPartialLocked(memory.ErrExhausted)

			return
		}

		p.data = append(make([]byte, 0, want), p.data...)
	}

	p.data = append(p.data, data...)
}

func (d *duplex) failPartialLocked(err error) {
	d.link.Budget.Release(cap(d.partial.data))
	d.partial.data, d.partial.err = nil, err
}

func (d *duplex) dropPartialLocked() {
	d.link.Budget.Release(cap(d.partial.data))
	d.partial = partial{}
}
