package frames

import (
	"github.com/minogrpc/session/internal/parcel"
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
	parcel *parcel.Parcel
	wire   *ptypes.Parcel
	id     uint64
	offset int
}

// Draft is a frame that is being composed. Its parcels have to be encoded, which takes time:
// the driver does it without the lock, adds what comes of it to the frame, and takes out of
// the list those that cannot be encoded.
type Draft struct {
	Frame   *ptypes.Packet
	Parcels []*parcel.Parcel

	// room is what is left in the frame, in bytes.
	room int
}

// Draft begins a frame of what waits, if there is content. Compose follows.
func (m *Machine) Draft() (Draft, bool) {
	if !m.content() {
		return Draft{}, false
	}

	frame := &ptypes.Packet{}
	parcels, room := m.gather(m.MaxFrame - m.takeOutcomes(frame))

	return Draft{Frame: frame, Parcels: parcels, room: room}, true
}

// Compose puts a draft among the frames to be written, unless there is nothing in it. It
// returns a large message that is to be encoded now, or nil. Begin follows.
func (m *Machine) Compose(d Draft) *parcel.Parcel {
	var begun *parcel.Parcel

	frame, parcels := d.Frame, d.Parcels

	if m.transfer == nil {
		begun = m.first()
	} else {
		parcels = append(parcels, m.cut(frame, d.room)...)
	}

	if len(frame.GetReceipts())+len(frame.GetDelivered())+len(frame.GetParcels())+len(frame.GetChunks()) == 0 {
		return begun
	}

	m.last++
	m.unsettled += len(frame.GetParcels())
	frame.Frame = m.last

	size := proto.Size(frame)
	m.unread.Push(numbered{frame: frame, size: size, parcels: parcels})
	m.unreadBytes += size

	return begun
}

// gather takes what goes in one piece with the next frame, and returns how much room is left.
// There is always one, however large.
func (m *Machine) gather(room int) (parcels []*parcel.Parcel, left int) {
	parcels, m.spare = m.spare, nil
	reserved := 0
	if m.transfer != nil {
		// Neither of the two lanes waits for the other.
		reserved = room / 2
	}

	for m.unsettled+len(parcels) < m.bounds.unsettled {
		p := m.order.first()
		if p == nil || len(parcels) > 0 && m.sizeOf(p) > room-reserved {
			break
		}

		m.order.take(p)
		p.Mark()

		room -= m.sizeOf(p)
		parcels = append(parcels, p)
	}

	return parcels, room
}

// sizeOf estimates what a parcel takes in a frame. A format of text is longer than what
// it stands for, by half at most.
func (m *Machine) sizeOf(p *parcel.Parcel) int {
	if m.Text {
		return p.Counted + p.Counted/2 + overhead
	}

	return p.Counted + overhead
}

// first takes the next of the large lane, if that has one.
func (m *Machine) first() *parcel.Parcel {
	if m.unsettled >= m.bounds.unsettled {
		return nil
	}

	p := m.order.begin()
	if p != nil {
		p.Share()
	}

	return p
}

// Begin starts with the pieces of a large message. A nil wire says that it could not be
// encoded.
func (m *Machine) Begin(p *parcel.Parcel, wire *ptypes.Parcel) {
	if wire == nil {
		m.order.end()

		return
	}

	m.chunks++
	m.transfer = &transfer{parcel: p, wire: wire, id: m.chunks}
}

// cut puts the next piece of the large message into a frame, as far as there is
// room. With the last piece goes the parcel, which it returns.
func (m *Machine) cut(frame *ptypes.Packet, room int) []*parcel.Parcel {
	t := m.transfer

	if !m.Box.Holds(t.parcel) {
		// Its deadline has passed. A first piece of nothing lets the other end forget it.
		if t.offset > 0 {
			frame.Chunks = []*ptypes.Chunk{{Id: t.id}}
		}

		m.endTransfer()

		return nil
	}

	rest := t.wire.GetBody()[t.offset:]

	// What is there may be more than there was room for.
	size := max(room-chunkOverhead, m.MaxFrame/8)

	if len(rest) > size {
		piece := &ptypes.Chunk{
			Id: t.id, Offset: uint64(t.offset), Total: uint64(len(t.wire.GetBody())), Data: rest[:size],
		}
		frame.Chunks = []*ptypes.Chunk{piece}
		t.offset += size

		return nil
	}

	if m.fault == chunkTwice {
		rest = t.wire.GetBody()
	}

	last := t.wire
	last.Body = rest

	if t.offset > 0 {
		last.Chunked = t.id
	}

	// What has left before is of no use without this piece.
	t.parcel.Mark()
	frame.Parcels = append(frame.Parcels, last)
	m.endTransfer()

	return []*parcel.Parcel{t.parcel}
}

func (m *Machine) endTransfer() {
	m.order.end()
	m.transfer = nil
}
