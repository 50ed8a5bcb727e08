package link

import (
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/protobuf/proto"
)

// overhead is what a parcel takes in a frame beside its message and destinations, most
// of the time, in bytes.
const overhead = 128

// chunkOverhead is what a chunk takes in a frame beside its data, at most, in bytes.
const chunkOverhead = 64

// idSize is the room for the id of a parcel that has been delivered, in bytes.
const idSize = 10

// transfer is a message that is written in chunks.
type transfer struct {
	parcel *Parcel
	wire   *ptypes.Parcel
	id     uint64
	offset int
}

// composeLocked makes a frame of what waits, and puts it among those to be written.
// It gives the lock away while the packets are encoded.
func (d *duplex) composeLocked() {
	frame := &ptypes.Packet{}
	room := d.MaxFrame - d.takeOutcomesLocked(frame)
	parcels, left := d.takeLocked(room)

	if len(parcels) > 0 {
		d.link.mu.Unlock()
		parcels = d.encode(frame, parcels)
		d.link.mu.Lock()
	}

	if d.transfer == nil {
		d.beginLocked()
	} else {
		parcels = append(parcels, d.cutLocked(frame, left)...)
	}

	if len(frame.GetReceipts())+len(frame.GetDelivered())+len(frame.GetParcels())+len(frame.GetChunks()) == 0 {
		return
	}

	d.last++
	d.unsettled += len(frame.GetParcels())
	d.retire = false
	frame.Frame = d.last

	size := proto.Size(frame)
	d.unread.push(numbered{frame: frame, size: size, parcels: parcels})
	d.unreadBytes += size
}

// takeLocked takes what goes in one piece with the next frame, and returns how much room
// is left. There is always one, however large.
func (d *duplex) takeLocked(room int) (parcels []*Parcel, left int) {
	parcels, d.spare = d.spare, nil
	reserved := 0
	if d.transfer != nil {
		// Neither of the two lanes waits for the other.
		reserved = room / 2
	}

	for d.unsettled+len(parcels) < MaxUnsettled {
		p := d.order.first()
		if p == nil || len(parcels) > 0 && d.sizeOf(p) > room-reserved {
			break
		}

		d.order.take(p)
		d.link.box.mark(p)

		room -= d.sizeOf(p)
		parcels = append(parcels, p)
	}

	return parcels, room
}

// sizeOf estimates what a parcel takes in a frame. A format of text is longer than what
// it stands for, by half at most.
func (d *duplex) sizeOf(p *Parcel) int {
	if d.Text {
		return p.size + p.size/2 + overhead
	}

	return p.size + overhead
}

// encode puts the packets into a frame, and returns those that can be.
func (d *duplex) encode(frame *ptypes.Packet, parcels []*Parcel) []*Parcel {
	encoded := parcels[:0]
	now := time.Now()

	for _, p := range parcels {
		wire, err := d.wire(p, now)
		if err != nil {
			d.refuse(p, err)
		} else {
			frame.Parcels = append(frame.Parcels, wire)
			encoded = append(encoded, p)
		}
	}

	return encoded
}

// wire returns a parcel as it travels.
func (d *duplex) wire(p *Parcel, now time.Time) (*ptypes.Parcel, error) {
	wire := &ptypes.Parcel{
		Id:        p.id,
		Origin:    p.Origin,
		Sequence:  p.Sequence,
		HopLimit:  p.HopLimit,
		BudgetMs:  BudgetFor(p.Deadline.Sub(now)),
		Unordered: p.Unordered,
	}

	err := d.encodePacket(p, wire)
	if err != nil && !errors.Is(err, ErrPacket) {
		// A panic, too, is about this packet, and no loss of the neighbour.
		err = fmt.Errorf("%w: %w", ErrPacket, err)
	}

	return wire, err
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

// beginLocked starts with the next of the large lane, if that has one.
func (d *duplex) beginLocked() {
	l := d.link

	if d.unsettled >= MaxUnsettled {
		return
	}

	p := d.order.begin()
	if p == nil {
		return
	}

	l.box.mark(p)
	l.mu.Unlock()

	wire, err := d.wire(p, time.Now())
	if err != nil {
		d.refuse(p, err)
	}

	l.mu.Lock()

	if err != nil {
		d.order.end()

		return
	}

	d.chunks++
	d.transfer = &transfer{parcel: p, wire: wire, id: d.chunks}
}

// cutLocked puts the next piece of the large message into a frame, as far as there is
// room. With the last piece goes the parcel, which it returns.
func (d *duplex) cutLocked(frame *ptypes.Packet, room int) []*Parcel {
	t := d.transfer

	if !d.link.box.holds(t.parcel) {
		// Its deadline has passed. A first piece of nothing lets the other end forget it.
		if t.offset > 0 {
			frame.Chunks = []*ptypes.Chunk{{Id: t.id}}
		}

		d.endTransferLocked()

		return nil
	}

	rest := t.wire.GetBody()[t.offset:]

	// What is there may be more than there was room for.
	size := max(room-chunkOverhead, d.MaxFrame/8)

	if len(rest) > size {
		frame.Chunks = []*ptypes.Chunk{{
			Id: t.id, Offset: uint64(t.offset), Total: uint64(len(t.wire.GetBody())), Data: rest[:size],
		}}
		t.offset += size

		return nil
	}

	last := t.wire
	last.Body = rest

	if t.offset > 0 {
		last.Chunked = t.id
	}

	frame.Parcels = append(frame.Parcels, last)
	d.endTransferLocked()

	return []*Parcel{t.parcel}
}

func (d *duplex) endTransferLocked() {
	d.order.end()
	d.transfer = nil
}
