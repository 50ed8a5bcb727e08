package frames

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/chunk"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/ptypes"
)

// The memory for a large message grows with what has come, and not with the size that
// the neighbour announces: it is step bytes at first, and growth times what is there after. Once
// one part in whole has come, it is for all of it: to double up to the end would take half as much
// again, for the copy. So it is never more than whole times what is there.
const (
	step   = 256 << 10
	growth = 2
	whole  = 4
)

var (
	// ErrTooLarge is the error of a message that is larger than the link takes.
	ErrTooLarge = errors.New("the message is too large")

	// ErrStalled is the error of a message of which nothing more has come for too long.
	ErrStalled = errors.New("the message has begun, and made no progress")
)

// partial is the part of a large message that has come. It belongs to the reader.
type partial struct {
	id uint64
	// total is how long the message will be, as its first piece says.
	total uint64
	size  int
	data  []byte
	err   error

	// moved is set when the last frame has brought some of it. progress is when one has, and idle
	// counts the frames since.
	moved    bool
	progress time.Time
	idle     int
}

// Assemble puts together what has come in a frame, with what came before of the large
// message in it. It is called without the lock, by the reader: there may be
// much to copy. After an error the link is over.
func (m *Machine) Assemble(frame *ptypes.Packet) ([]Arrival, error) {
	for _, c := range frame.GetChunks() {
		if err := m.addChunk(c); err != nil {
			return nil, err
		}
	}

	parcels := frame.GetParcels()
	arrivals := slices.Grow(m.arrivals, len(parcels))[:len(parcels)]

	for i, p := range parcels {
		if p.GetId() == 0 {
			return nil, fmt.Errorf("%w: a parcel without a number", ErrProtocol)
		}

		arrivals[i].Parcel = p

		if p.GetChunked() == 0 && p.GetHeaderSize() == 0 {
			continue
		}

		err := m.complete(&arrivals[i])
		if err != nil {
			return nil, err
		}
	}

	return arrivals, nil
}

// complete gives a parcel what has come of it in chunks.
func (m *Machine) complete(a *Arrival) error {
	p := a.Parcel

	if p.GetChunked() == 0 || p.GetChunked() != m.partial.id {
		return fmt.Errorf("%w: chunks %d are not there", ErrProtocol, p.GetChunked())
	}

	if uint64(m.partial.size+len(p.GetBody())) != m.partial.total || p.GetHeaderSize() > m.partial.total {
		return fmt.Errorf("%w: chunks %d are not as long as they should be", ErrProtocol, p.GetChunked())
	}

	m.grow(p.GetBody())

	if m.MaxHeader > 0 && p.GetHeaderSize() > uint64(m.MaxHeader) && m.partial.err == nil {
		m.failPartial(ErrTooLarge)
	}

	p.Body, a.Err = m.partial.data, m.partial.err

	switch size := p.GetHeaderSize(); {
	case a.Err != nil:
		p.Header = nil
	case size > 0:
		p.Header, p.Body = p.GetBody()[:size:size], p.GetBody()[size:]
	}

	m.dropPartial()

	return nil
}

// addChunk adds a piece to the large message. The first piece of another one takes the
// place of what was there: its sender has given that up.
func (m *Machine) addChunk(c *ptypes.Chunk) error {
	p := &m.partial

	if c.GetOffset() == 0 {
		m.dropPartial()
		p.id, p.total = c.GetId(), c.GetTotal()
	}

	p.moved = true

	if c.GetId() == 0 || c.GetId() != p.id || c.GetOffset() != uint64(p.size) || c.GetTotal() != p.total ||
		uint64(p.size+len(c.GetData())) > p.total {
		return fmt.Errorf("%w: chunk %d at %d of %d", ErrProtocol, c.GetId(), c.GetOffset(), c.GetTotal())
	}

	m.grow(c.GetData())
	chunk.Put(c.GetData())
	c.Data = nil

	return nil
}

// grow appends to the large message, within the limit and the budget. Past them only
// the size is counted.
func (m *Machine) grow(data []byte) {
	p := &m.partial
	p.size += len(data)

	if p.err != nil {
		return
	}

	if p.total > uint64(m.MaxBody) {
		m.failPartial(ErrTooLarge)

		return
	}

	if p.size > cap(p.data) {
		want := p.room()
		if !m.Box.Budget.Reserve(want - cap(p.data)) {
			m.failPartial(memory.ErrExhausted)

			return
		}

		p.data = append(make([]byte, 0, want), p.data...)
	}

	p.data = append(p.data, data...)
}

// room returns how much memory a large message gets that needs more.
func (p *partial) room() int {
	total := int(p.total) // It is not above MaxBody.
	if p.size >= total/whole {
		return total
	}

	return max(p.size, min(total/whole, max(growth*cap(p.data), step)))
}

// Lagging drops the memory of a large message that makes no progress, though the neighbour goes on
// writing frames, and returns ErrStalled then. Such a neighbour would hold the memory as long as it
// likes. It is called after each frame. An honest neighbour writes a piece whenever it may write
// anything. After a break, or a stop of this process, it has some more frames for that.
func (m *Machine) Lagging() error {
	p := &m.partial

	if p.moved {
		p.moved, p.progress, p.idle = false, m.admitted, 0
	} else {
		p.idle++
	}

	idle := m.admitted.Sub(later(p.progress, m.opened)) >= m.Silence && p.idle >= beats

	// Where there is an error, the memory is free.
	if p.id > 0 && p.err == nil && m.Silence > 0 && idle {
		m.failPartial(ErrStalled)

		return ErrStalled
	}

	return nil
}

func (m *Machine) failPartial(err error) {
	m.Box.Budget.Release(cap(m.partial.data))
	m.partial.data, m.partial.err = nil, err
}

func (m *Machine) dropPartial() {
	m.Box.Budget.Release(cap(m.partial.data))
	m.partial = partial{}
}

// Abandon forgets the large message that was coming: the link has ended.
func (m *Machine) Abandon() {
	m.dropPartial()
}
