package frames

import (
	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// overhead is what a parcel takes in a frame beside its message and destinations, most
// of the time, in bytes.
const overhead = 128

const (
	// idSize is the room for a number, in bytes.
	idSize = 10

	// tagSize is the room for the number and the length of a field, in bytes.
	tagSize = 8

	// headSize is the room for what goes with every frame: its number, what has been
	// received, what has been read, and the question and answer about the way.
	headSize = 64

	// smallHeader is the size up to which the header of a large message goes with the parcel.
	smallHeader = 256

	// chunkOverhead is what a chunk takes in a frame beside its data, at most, in bytes.
	chunkOverhead = 64
)

// transfer is a message that is written in chunks.
type transfer struct {
	parcel *parcel.Parcel
	wire   *ptypes.Parcel
	id     uint64
	offset int

	// header comes in the chunks before the body. It is empty where the other end takes
	// headers in parcels alone.
	header []byte
	// urgent is set for one that does not wait in the large lane.
	urgent bool
}

// Draft is a frame that is being composed. Its parcels have to be encoded, which takes time:
// the driver does it without the lock, adds what comes of it to the frame, and takes out of
// the list those that cannot be encoded.
type Draft struct {
	Frame   *ptypes.Packet
	Parcels []*parcel.Parcel

	// room is what is left in the frame before the parcels, in bytes.
	room int
	// outcomes is what those in the frame count for in the budget, in bytes.
	outcomes int
}

// room returns how much content the next frame should have, in bytes.
func (m *Machine) room() int {
	return m.frameSize() - headSize
}

// hardRoom returns how much content a frame can have, in bytes.
func (m *Machine) hardRoom() int {
	return m.MaxFrame - headSize
}

// fieldSize returns what a field takes in a frame that has so many bytes.
func fieldSize(size int) int {
	return 2 + protowire.SizeBytes(size)
}

// Draft begins a frame of what waits, if there is content. Compose follows.
func (m *Machine) Draft() (Draft, bool) {
	if !m.content() {
		return Draft{}, false
	}

	m.order.resize(m.frameSize() / 2)

	frame := &ptypes.Packet{}
	size, weight := m.takeOutcomes(frame, m.room()/2)
	room := m.room() - size

	return Draft{Frame: frame, Parcels: m.gather(room), room: room, outcomes: weight}, true
}

// Compose puts a draft among the frames to be written, unless there is nothing in it. What
// turns out not to fit goes into frames of its own. It returns a large message that is to be
// encoded now, or nil. Begin follows.
func (m *Machine) Compose(d Draft) *parcel.Parcel {
	wires := d.Frame.GetParcels()
	// Those that go into this frame take the first places, once they have been looked at.
	d.Frame.Parcels = wires[:0]

	open := frame{packet: d.Frame, room: d.room, parcels: d.Parcels[:0], outcomes: d.outcomes}
	for i, p := range d.Parcels {
		m.add(&open, p, wires[i])
	}

	var begun *parcel.Parcel

	if m.transfer == nil {
		begun = m.first()
	} else {
		m.cut(&open)
	}

	m.seal(&open)

	return begun
}

// frame is one that is being filled.
type frame struct {
	packet  *ptypes.Packet
	parcels []*parcel.Parcel
	room    int
	// outcomes is what those in it count for in the budget, in bytes.
	outcomes int
}

func (f *frame) empty() bool {
	p := f.packet

	return len(p.GetReceipts())+len(p.GetDelivered())+len(p.GetParcels())+len(p.GetChunks()) == 0
}

// add puts a parcel into a frame, or into the next one if it does not fit. One that fits into
// no frame at all is cut.
func (m *Machine) add(f *frame, p *parcel.Parcel, wire *ptypes.Parcel) {
	size := fieldSize(proto.Size(wire))
	if size > f.room && !f.empty() {
		m.seal(f)
	}

	if size > m.hardRoom() && m.Paced {
		m.cutAtOnce(f, p, wire)

		return
	}

	f.room -= size
	f.packet.Parcels = append(f.packet.Parcels, wire)
	f.parcels = append(f.parcels, p)
}

// seal numbers a frame, if there is something in it, and begins another one.
func (m *Machine) seal(f *frame) {
	if f.empty() {
		return
	}

	m.last++
	m.unsettled += len(f.packet.GetParcels())
	f.packet.Frame = m.last

	size := proto.Size(f.packet)
	m.unread.Push(numbered{frame: f.packet, size: size, parcels: f.parcels, outcomes: f.outcomes})
	m.unreadBytes += size

	*f = frame{packet: &ptypes.Packet{}, room: m.room()}
}

// gather takes what goes in one piece with the next frame. There is always one parcel, however
// large.
func (m *Machine) gather(room int) (parcels []*parcel.Parcel) {
	parcels, m.spare = m.spare, nil
	if m.transfer != nil {
		// Neither of the two lanes waits for the other.
		room -= room / 2
	}

	for m.unsettled+len(parcels) < m.bounds.unsettled {
		p := m.order.first()
		if p == nil || len(parcels) > 0 && m.sizeOf(p) > room {
			break
		}

		m.order.take(p)
		p.Mark()

		room -= m.sizeOf(p)
		parcels = append(parcels, p)
	}

	return parcels
}

// sizeOf estimates what a parcel takes in a frame. A format of text is longer than what
// it stands for, by half at most.
func (m *Machine) sizeOf(p *parcel.Parcel) int {
	size := p.Length()
	if m.Text {
		size += size / 2
	}

	return size + overhead
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

	m.transfer = m.newTransfer(p, wire)
}

func (m *Machine) newTransfer(p *parcel.Parcel, wire *ptypes.Parcel) *transfer {
	m.chunks++
	t := &transfer{parcel: p, wire: wire, id: m.chunks}

	if m.Paced && len(wire.GetHeader()) > smallHeader {
		t.header = wire.GetHeader()
	}

	return t
}

// cutAtOnce writes a parcel in pieces of its own. That should not be necessary, as the sizes
// of parcels are estimated before. The large message that is being written begins again,
// because the other end puts together only one at a time.
func (m *Machine) cutAtOnce(f *frame, p *parcel.Parcel, wire *ptypes.Parcel) {
	large := m.transfer
	m.transfer = m.newTransfer(p, wire)
	m.transfer.urgent = true

	for m.transfer != nil {
		m.cut(f)
		m.seal(f)
	}

	if large != nil {
		m.chunks++
		large.id, large.offset = m.chunks, 0
		m.transfer = large
	}
}

// cut puts the next piece of the large message into a frame, or into the next frame if there
// is little room. With the last piece goes the parcel.
func (m *Machine) cut(f *frame) {
	t := m.transfer

	if !m.Box.Holds(t.parcel) {
		// Its deadline has passed. A first piece of nothing lets the other end forget it.
		if t.offset > 0 {
			f.packet.Chunks = []*ptypes.Chunk{{Id: t.id}}
		}

		m.endTransfer()

		return
	}

	if f.room < m.frameSize()/8 && !f.empty() {
		m.seal(f)
	}

	last := m.lastPiece(t)

	if last == nil || fieldSize(proto.Size(last)) > f.room {
		if piece := t.next(f.room - chunkOverhead); len(piece) > 0 {
			total := uint64(len(t.header) + len(t.wire.GetBody()))
			f.packet.Chunks = []*ptypes.Chunk{{Id: t.id, Offset: uint64(t.offset), Total: total, Data: piece}}
			t.offset += len(piece)

			return
		}

		// All that is left is a header that the other end does not take in pieces.
		m.seal(f)
	}

	// What has left before is of no use without this piece.
	t.parcel.Mark()
	f.packet.Parcels = append(f.packet.Parcels, last)
	f.parcels = append(f.parcels, t.parcel)
	m.endTransfer()
}

// next returns the next bytes that go in a chunk, so many at most.
func (t *transfer) next(size int) []byte {
	rest := t.wire.GetBody()[max(t.offset-len(t.header), 0):]
	if t.offset < len(t.header) {
		rest = t.header[t.offset:]
	}

	return rest[:min(len(rest), size)]
}

// lastPiece returns the parcel with what has not gone in chunks, or nil while the header is
// not through.
func (m *Machine) lastPiece(t *transfer) *ptypes.Parcel {
	w := t.wire
	if t.offset == 0 {
		return w
	}

	rest := t.offset - len(t.header)
	if rest < 0 {
		return nil
	}

	last := &ptypes.Parcel{
		Id: w.GetId(), Origin: w.GetOrigin(), Sequence: w.GetSequence(), HopLimit: w.GetHopLimit(),
		BudgetMs: w.GetBudgetMs(), Unordered: w.GetUnordered(), Body: w.GetBody()[rest:],
		Chunked: t.id, HeaderSize: uint64(len(t.header)), News: w.GetNews(), Trace: w.GetTrace(),
	}

	if len(t.header) == 0 {
		last.Header = w.GetHeader()
	}

	if m.fault == chunkTwice {
		last.Body = w.GetBody()
	}

	return last
}

func (m *Machine) endTransfer() {
	if !m.transfer.urgent {
		m.order.end()
	}

	m.transfer = nil
}
