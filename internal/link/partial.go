package link

import (
	"errors"
	"fmt"
	"slices"

	"github.com/minogrpc/session/internal/chunk"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/ptypes"
)

// The memory for a large message grows with what has come, and not with the size that
// the neighbour announces: it is step bytes at first, and never more than growth times
// what is there.
const (
	step   = 1 << 20
	growth = 4
)

// ErrTooLarge is the error of a message that is larger than the link takes.
var ErrTooLarge = errors.New("the message is too large")

// partial is the part of a large message that has come. It belongs to the turn.
type partial struct {
	id uint64
	// total is how long the message will be, as its first piece says.
	total uint64
	size  int
	data  []byte
	err   error
}

// assemble puts together what has come in a frame, with what came before of the large
// message in it. It needs the turn, and not the lock: there may be much to copy.
func (d *duplex) assemble(frame *ptypes.Packet) ([]Arrival, error) {
	for _, c := range frame.GetChunks() {
		if err := d.addChunk(c); err != nil {
			return nil, err
		}
	}

	parcels := frame.GetParcels()
	arrivals := slices.Grow(d.arrivals, len(parcels))[:len(parcels)]

	for i, p := range parcels {
		if p.GetId() == 0 {
			return nil, fmt.Errorf("%w: a parcel without a number", errProtocol)
		}

		arrivals[i].Parcel = p

		if p.GetChunked() == 0 {
			continue
		}

		if p.GetChunked() != d.partial.id {
			return nil, fmt.Errorf("%w: chunks %d are not there", errProtocol, p.GetChunked())
		}

		if uint64(d.partial.size+len(p.GetBody())) != d.partial.total {
			return nil, fmt.Errorf("%w: chunks %d are not as long as they should be", errProtocol, p.GetChunked())
		}

		d.grow(p.GetBody())

		p.Body, arrivals[i].Err = d.partial.data, d.partial.err
		if arrivals[i].Err != nil {
			p.Header = nil
		}

		d.dropPartial()
	}

	return arrivals, nil
}

// addChunk adds a piece to the large message. The first piece of another one takes the
// place of what was there: its sender has given that up.
func (d *duplex) addChunk(c *ptypes.Chunk) error {
	p := &d.partial

	if c.GetOffset() == 0 {
		d.dropPartial()
		p.id, p.total = c.GetId(), c.GetTotal()
	}

	if c.GetId() == 0 || c.GetId() != p.id || c.GetOffset() != uint64(p.size) || c.GetTotal() != p.total ||
		uint64(p.size+len(c.GetData())) > p.total {
		return fmt.Errorf("%w: chunk %d at %d of %d", errProtocol, c.GetId(), c.GetOffset(), c.GetTotal())
	}

	d.grow(c.GetData())
	chunk.Put(c.GetData())
	c.Data = nil

	return nil
}

// grow appends to the large message, within the limit and the budget. Past them only
// the size is counted.
func (d *duplex) grow(data []byte) {
	p := &d.partial
	p.size += len(data)

	if p.err != nil {
		return
	}

	if p.total > uint64(d.MaxBody) {
		d.failPartial(ErrTooLarge)

		return
	}

	if p.size > cap(p.data) {
		want := max(p.size, min(int(p.total), max(growth*cap(p.data), step)))
		if !d.link.Budget.Reserve(want - cap(p.data)) {
			d.failPartial(memory.ErrExhausted)

			return
		}

		p.data = append(make([]byte, 0, want), p.data...)
	}

	p.data = append(p.data, data...)
}

func (d *duplex) failPartial(err error) {
	d.link.Budget.Release(cap(d.partial.data))
	d.partial.data, d.partial.err = nil, err
}

func (d *duplex) dropPartial() {
	d.link.Budget.Release(cap(d.partial.data))
	d.partial = partial{}
}
