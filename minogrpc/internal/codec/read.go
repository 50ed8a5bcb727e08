package codec

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"

	"github.com/minogrpc/session/internal/chunk"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	protobuf "google.golang.org/protobuf/proto"
)

// The fields of overlay.proto that the codec knows.
const (
	packetSerialized protowire.Number = 1
	packetOrigin     protowire.Number = 16
	packetSequence   protowire.Number = 17
	packetHopLimit   protowire.Number = 18
	packetBudget     protowire.Number = 19
	packetReceipts   protowire.Number = 21
	packetFrame      protowire.Number = 22
	packetReceived   protowire.Number = 23
	packetChunks     protowire.Number = 24
	packetParcels    protowire.Number = 25
	packetDelivered  protowire.Number = 26
	packetGoodbye    protowire.Number = 27
	packetRead       protowire.Number = 28
	packetQuiet      protowire.Number = 29
	packetCut        protowire.Number = 30
	packetAsk        protowire.Number = 31
	packetProbe      protowire.Number = 33
	packetProbed     protowire.Number = 34
	packetNews       protowire.Number = 32
	packetTrace      protowire.Number = 35

	parcelID         protowire.Number = 1
	parcelOrigin     protowire.Number = 2
	parcelSequence   protowire.Number = 3
	parcelHopLimit   protowire.Number = 4
	parcelBudget     protowire.Number = 5
	parcelHeader     protowire.Number = 6
	parcelBody       protowire.Number = 7
	parcelChunked    protowire.Number = 8
	parcelUnordered  protowire.Number = 9
	parcelHeaderSize protowire.Number = 10
	parcelNews       protowire.Number = 11
	parcelTrace      protowire.Number = 12

	chunkID     protowire.Number = 1
	chunkOffset protowire.Number = 2
	chunkTotal  protowire.Number = 3
	chunkData   protowire.Number = 4

	receiptFailures protowire.Number = 2
	receiptReached  protowire.Number = 4
)

// reader reads packets piece by piece, each content into memory of its own, but for what the parcels of
// one frame often have in common.
type reader struct {
	// piece is what is left of the piece that is being read, and pieces the others.
	piece  []byte
	pieces mem.BufferSlice
	// left is the size of all that.
	left int

	// items are those that have been read.
	items items

	// room is memory for the next parcels, and origin and header are those of the last one.
	room           []ptypes.Parcel
	origin, header []byte

	// failed is set at the first thing that is not as this library writes it, or writes
	// so often.
	failed bool
}

// readPacket fills a packet. It returns false when the data hold anything that this
// library does not write; the packet is then of no use.
func readPacket(data mem.BufferSlice, p *ptypes.Packet) bool {
	r := reader{pieces: data, left: data.Len()}
	r.items.size = r.left

	protobuf.Reset(p)

	for r.left > 0 && !r.failed {
		field, kind := r.tag()
		if kind == protowire.VarintType {
			r.packetNumber(p, field)
		} else {
			r.packetBytes(p, field, r.size(kind))
		}
	}

	return !r.failed
}

// tag reads the number and the type of a field.
func (r *reader) tag() (protowire.Number, protowire.Type) {
	field, kind := protowire.DecodeTag(r.varint())

	return field, kind
}

// varint reads a number, which most of the time is within one piece.
func (r *reader) varint() uint64 {
	n, size := protowire.ConsumeVarint(r.piece)
	if size < 0 {
		return r.splitVarint()
	}

	r.piece = r.piece[size:]
	r.left -= size

	return n
}

func (r *reader) splitVarint() uint64 {
	var text [binary.MaxVarintLen64]byte

	for i := range min(len(text), r.left) {
		r.read(text[i : i+1])

		if text[i] < 1<<7 {
			n, size := protowire.ConsumeVarint(text[:i+1])
			r.failed = r.failed || size < 0

			return n
		}
	}

	r.failed = true

	return 0
}

// read fills the bytes. There are at least as many left.
func (r *reader) read(content []byte) {
	r.left -= len(content)

	for {
		n := copy(content, r.piece)
		content, r.piece = content[n:], r.piece[n:]

		if len(content) == 0 {
			return
		}

		r.piece, r.pieces = r.pieces[0].ReadOnlyData(), r.pieces[1:]
	}
}

// number32 reads a number of 32 bits. Protobuf drops what is more, which nobody writes.
func (r *reader) number32() uint32 {
	n := r.varint()
	r.failed = r.failed || n > math.MaxUint32

	return uint32(n)
}

// size reads how long the content of a field is.
func (r *reader) size(kind protowire.Type) int {
	n := r.varint()

	if kind != protowire.BytesType || n > uint64(r.left) {
		r.failed = true

		return 0
	}

	return int(n)
}

// content reads bytes of that size.
func (r *reader) content(size int) []byte {
	if r.failed || size == 0 {
		return nil
	}

	return r.fill(make([]byte, size))
}

// again is content for what is often the same as before: then it is the same memory.
func (r *reader) again(before []byte, size int) []byte {
	if size == 0 || size != len(before) || size > len(r.piece) || !bytes.Equal(r.piece[:size], before) {
		return r.content(size)
	}

	r.piece = r.piece[size:]
	r.left -= size

	return before
}

// fill reads as many bytes as there is room for.
func (r *reader) fill(content []byte) []byte {
	if !r.failed {
		r.read(content)
	}

	return content
}

func (r *reader) packetNumber(p *ptypes.Packet, field protowire.Number) {
	switch field {
	case packetSequence:
		p.Sequence = r.varint()
	case packetHopLimit:
		p.HopLimit = r.number32()
	case packetBudget:
		p.BudgetMs = r.number32()
	case packetFrame:
		p.Frame = r.varint()
	case packetReceived:
		p.Received = r.varint()
	case packetGoodbye:
		p.Goodbye = protowire.DecodeBool(r.varint())
	case packetCut:
		p.Cut = protowire.DecodeBool(r.varint())
	case packetRead:
		p.Read = r.varint()
	case packetQuiet:
		p.QuietMs = r.varint()
	case packetAsk:
		p.Ask = protowire.DecodeBool(r.varint())
	case packetProbe:
		p.Probe = r.varint()
	case packetProbed:
		p.Probed = r.varint()
	default:
		r.failed = true
	}
}

func (r *reader) packetBytes(p *ptypes.Packet, field protowire.Number, size int) {
	end := r.left - size

	switch field {
	case packetSerialized:
		p.Serialized = r.content(size)
	case packetOrigin:
		p.Origin = r.content(size)
	case packetReceipts:
		p.Receipts = append(p.Receipts, r.receipt(size))
	case packetChunks:
		r.items.chunks++
		p.Chunks = append(p.Chunks, r.chunk(end))
	case packetParcels:
		r.items.parcels++
		parcel := r.parcelRoom()
		p.Parcels = append(slices.Grow(p.GetParcels(), 1+len(r.room)), parcel)
		r.parcel(parcel, end)
	case packetNews:
		p.News = r.news(size, p.GetNews())
	case packetTrace:
		p.Trace = r.content(size)
	case packetDelivered:
		p.Delivered = slices.Grow(p.GetDelivered(), min(size, manyParcels))

		for r.left > end && !r.failed {
			p.Delivered = append(p.Delivered, r.varint())
			r.items.delivered++
			r.failed = r.failed || r.items.excessive()
		}
	default:
		r.failed = true
	}

	r.failed = r.failed || r.left != end || r.items.excessive()
}

func (r *reader) receipt(size int) *ptypes.Receipt {
	receipt := &ptypes.Receipt{}
	content := r.content(size)
	r.items.receipts++
	r.items.addReceipt(content)

	if r.items.excessive() || protobuf.Unmarshal(content, receipt) != nil {
		r.failed = true
	}

	return receipt
}

// news reads what a packet tells of a player. What is there twice is put together, as protobuf
// does, or the whole is left to that.
func (r *reader) news(size int, before *ptypes.News) *ptypes.News {
	n := &ptypes.News{}
	r.failed = r.failed || before != nil || protobuf.Unmarshal(r.content(size), n) != nil

	return n
}

func (r *reader) chunk(end int) *ptypes.Chunk {
	c := &ptypes.Chunk{}

	for r.left > end && !r.failed {
		field, kind := r.tag()

		switch {
		case field == chunkID && kind == protowire.VarintType:
			c.Id = r.varint()
		case field == chunkOffset && kind == protowire.VarintType:
			c.Offset = r.varint()
		case field == chunkTotal && kind == protowire.VarintType:
			c.Total = r.varint()
		case field == chunkData:
			c.Data = r.fill(chunk.Get(r.size(kind)))
		default:
			r.failed = true
		}
	}

	return c
}

const (
	// fewParcels and manyParcels are how many parcels get memory at once: one after the first, and
	// those after that.
	fewParcels, manyParcels = 8, 32

	// usualParcel is what a parcel has at least, in bytes, if it is a message of somebody: those of
	// less do not make others cost memory before they are there.
	usualParcel = 32
)

// parcelRoom returns memory for a parcel. Many come with others: they share it.
func (r *reader) parcelRoom() *ptypes.Parcel {
	if len(r.room) == 0 {
		n := manyParcels

		switch {
		case r.items.parcels == 1:
			n = 1
		case r.items.parcels < fewParcels:
			n = fewParcels
		}

		r.room = make([]ptypes.Parcel, min(n, 1+r.left/usualParcel))
	}

	p := &r.room[0]
	r.room = r.room[1:]

	return p
}

func (r *reader) parcel(p *ptypes.Parcel, end int) {
	for r.left > end && !r.failed {
		field, kind := r.tag()
		if kind == protowire.VarintType {
			r.parcelNumber(p, field)
		} else {
			r.parcelBytes(p, field, r.size(kind))
		}
	}

	r.origin, r.header = p.GetOrigin(), p.GetHeader()
}

func (r *reader) parcelNumber(p *ptypes.Parcel, field protowire.Number) {
	switch field {
	case parcelID:
		p.Id = r.varint()
	case parcelSequence:
		p.Sequence = r.varint()
	case parcelHopLimit:
		p.HopLimit = r.number32()
	case parcelBudget:
		p.BudgetMs = r.number32()
	case parcelChunked:
		p.Chunked = r.varint()
	case parcelUnordered:
		p.Unordered = protowire.DecodeBool(r.varint())
	case parcelHeaderSize:
		p.HeaderSize = r.varint()
	default:
		r.failed = true
	}
}

func (r *reader) parcelBytes(p *ptypes.Parcel, field protowire.Number, size int) {
	switch field {
	case parcelOrigin:
		p.Origin = r.again(r.origin, size)
	case parcelHeader:
		p.Header = r.again(r.header, size)
	case parcelBody:
		p.Body = r.content(size)
	case parcelNews:
		p.News = r.news(size, p.GetNews())
	case parcelTrace:
		p.Trace = r.content(size)
	default:
		r.failed = true
	}
}
