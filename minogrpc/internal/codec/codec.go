package codec

import (
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	protobuf "google.golang.org/protobuf/proto"
)

// largeBytes is the size, in bytes, from which the content of a field goes into gRPC without
// a copy. Smaller contents are better sent in one piece with the others.
const largeBytes = 16 << 10

// codec is the codec of gRPC, without the copies that gRPC makes of packets. On the way out
// gRPC would copy what is large, and on the way in everything, into a pool and out of it again.
// The bytes are the same.
type codec struct {
	encoding.CodecV2
}

// New returns the codec for both ends of a connection. Several goroutines may use it at once.
func New() encoding.CodecV2 {
	return codec{encoding.GetCodecV2(proto.Name)}
}

// Name implements encoding.CodecV2. Another name would be seen by the other node.
func (codec) Name() string {
	return ""
}

// Marshal implements encoding.CodecV2. What is sent belongs to gRPC from then on.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	p, ok := v.(*ptypes.Packet)
	if !ok {
		return c.CodecV2.Marshal(v)
	}

	size := smallSize(p)
	if mem.IsBelowBufferPoolingThreshold(size) {
		w := writer{small: make([]byte, 0, size)}
		w.packet(p)
		w.flush()

		return w.pieces, w.err
	}

	return marshalPooled(p, size)
}

// marshalPooled writes a packet into memory from the pool of gRPC, where that goes back
// to, as long as it is in one piece.
func marshalPooled(p *ptypes.Packet, size int) (mem.BufferSlice, error) {
	pool := mem.DefaultBufferPool()
	pooled := pool.Get(size)
	w := writer{small: (*pooled)[:0]}
	w.packet(p)

	if w.err == nil && len(w.pieces) == 0 && len(w.small) <= size {
		*pooled = w.small

		return mem.BufferSlice{mem.NewBuffer(pooled, pool)}, nil
	}

	w.flush()

	return w.pieces, w.err
}

// Unmarshal implements encoding.CodecV2. What it makes shares no memory with the data,
// nor one part of it with another, but for the origins and headers of parcels that are the same.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	p, ok := v.(*ptypes.Packet)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}

	if readPacket(data, p) {
		return nil
	}

	// What was read of it until then is of no use.
	protobuf.Reset(p)

	whole := data.Materialize()
	if err := checkItems(whole); err != nil {
		return err
	}

	// What is not understood is gRPC's to judge.
	return c.CodecV2.Unmarshal(mem.BufferSlice{mem.SliceBuffer(whole)}, v)
}

// smallSize estimates the size of a packet without its large fields.
func smallSize(p *ptypes.Packet) int {
	size := 64 + 10*len(p.GetDelivered())

	for _, content := range [][]byte{p.GetSerialized(), p.GetOrigin(), p.GetTrace()} {
		size += smallPart(content)
	}

	for _, c := range p.GetChunks() {
		size += 48 + smallPart(c.GetData())
	}

	for _, parcel := range p.GetParcels() {
		size += 80 + smallPart(parcel.GetHeader()) + smallPart(parcel.GetBody()) + sizeOfNews(parcel.GetNews()) +
			smallPart(parcel.GetTrace())
	}

	return size
}

func smallPart(content []byte) int {
	if len(content) >= largeBytes {
		return 0
	}

	return len(content)
}

// writer writes packets as protobuf does, field by field.
type writer struct {
	pieces mem.BufferSlice
	// small is what has been written since the last large piece.
	small []byte
	err   error
}

// flush ends the piece that is being written.
func (w *writer) flush() {
	if len(w.small) > 0 {
		w.pieces = append(w.pieces, mem.SliceBuffer(w.small))
		w.small = w.small[len(w.small):]
	}
}

func (w *writer) number(field protowire.Number, n uint64) {
	if n != 0 {
		w.small = protowire.AppendTag(w.small, field, protowire.VarintType)
		w.small = protowire.AppendVarint(w.small, n)
	}
}

func (w *writer) bytes(field protowire.Number, content []byte) {
	if len(content) == 0 {
		return
	}

	w.begin(field, len(content))

	if len(content) < largeBytes {
		w.small = append(w.small, content...)

		return
	}

	w.flush()
	w.pieces = append(w.pieces, mem.SliceBuffer(content))
}

// begin writes what comes before the content of a field of that size.
func (w *writer) begin(field protowire.Number, size int) {
	w.small = protowire.AppendTag(w.small, field, protowire.BytesType)
	w.small = protowire.AppendVarint(w.small, uint64(size))
}

// message writes one that is small and rare in the ordinary way.
func (w *writer) message(field protowire.Number, m protobuf.Message) {
	w.begin(field, protobuf.Size(m))

	small, err := protobuf.MarshalOptions{UseCachedSize: true}.MarshalAppend(w.small, m)
	if err != nil {
		w.err = err

		return
	}

	w.small = small
}

func (w *writer) packet(p *ptypes.Packet) {
	w.bytes(packetSerialized, p.GetSerialized())
	w.bytes(packetOrigin, p.GetOrigin())
	w.number(packetSequence, p.GetSequence())
	w.number(packetHopLimit, uint64(p.GetHopLimit()))
	w.number(packetBudget, uint64(p.GetBudgetMs()))

	for _, r := range p.GetReceipts() {
		w.message(packetReceipts, r)
	}

	w.number(packetFrame, p.GetFrame())
	w.number(packetReceived, p.GetReceived())

	for _, c := range p.GetChunks() {
		w.begin(packetChunks, sizeOfChunk(c))
		w.number(chunkID, c.GetId())
		w.number(chunkOffset, c.GetOffset())
		w.number(chunkTotal, c.GetTotal())
		w.bytes(chunkData, c.GetData())
	}

	for _, parcel := range p.GetParcels() {
		w.parcel(parcel)
	}

	w.delivered(p.GetDelivered())
	w.number(packetGoodbye, protowire.EncodeBool(p.GetGoodbye()))
	w.number(packetRead, p.GetRead())
	w.number(packetQuiet, p.GetQuietMs())
	w.number(packetCut, protowire.EncodeBool(p.GetCut()))
	w.number(packetAsk, protowire.EncodeBool(p.GetAsk()))
	w.news(packetNews, p.GetNews())
	w.number(packetProbe, p.GetProbe())
	w.number(packetProbed, p.GetProbed())
	w.bytes(packetTrace, p.GetTrace())
}

func (w *writer) parcel(p *ptypes.Parcel) {
	w.begin(packetParcels, sizeOfParcel(p))
	w.number(parcelID, p.GetId())
	w.bytes(parcelOrigin, p.GetOrigin())
	w.number(parcelSequence, p.GetSequence())
	w.number(parcelHopLimit, uint64(p.GetHopLimit()))
	w.number(parcelBudget, uint64(p.GetBudgetMs()))
	w.bytes(parcelHeader, p.GetHeader())
	w.bytes(parcelBody, p.GetBody())
	w.number(parcelChunked, p.GetChunked())
	w.number(parcelUnordered, protowire.EncodeBool(p.GetUnordered()))
	w.number(parcelHeaderSize, p.GetHeaderSize())
	w.news(parcelNews, p.GetNews())
	w.bytes(parcelTrace, p.GetTrace())
}

// news writes what a packet tells of a player, if it does.
func (w *writer) news(field protowire.Number, n *ptypes.News) {
	if n != nil {
		w.message(field, n)
	}
}

func (w *writer) delivered(ids []uint64) {
	if len(ids) == 0 {
		return
	}

	size := 0
	for _, id := range ids {
		size += protowire.SizeVarint(id)
	}

	w.begin(packetDelivered, size)

	for _, id := range ids {
		w.small = protowire.AppendVarint(w.small, id)
	}
}

// The sizes of what the writer writes between begin and the next field.

func sizeOfChunk(c *ptypes.Chunk) int {
	return sizeOfNumber(chunkID, c.GetId()) + sizeOfNumber(chunkOffset, c.GetOffset()) +
		sizeOfNumber(chunkTotal, c.GetTotal()) + sizeOfBytes(chunkData, c.GetData())
}

func sizeOfParcel(p *ptypes.Parcel) int {
	return sizeOfNumber(parcelID, p.GetId()) + sizeOfBytes(parcelOrigin, p.GetOrigin()) +
		sizeOfNumber(parcelSequence, p.GetSequence()) + sizeOfNumber(parcelHopLimit, uint64(p.GetHopLimit())) +
		sizeOfNumber(parcelBudget, uint64(p.GetBudgetMs())) + sizeOfBytes(parcelHeader, p.GetHeader()) +
		sizeOfBytes(parcelBody, p.GetBody()) + sizeOfNumber(parcelChunked, p.GetChunked()) +
		sizeOfNumber(parcelUnordered, protowire.EncodeBool(p.GetUnordered())) +
		sizeOfNumber(parcelHeaderSize, p.GetHeaderSize()) + sizeOfNews(p.GetNews()) +
		sizeOfBytes(parcelTrace, p.GetTrace())
}

func sizeOfNews(n *ptypes.News) int {
	if n == nil {
		return 0
	}

	return protowire.SizeTag(parcelNews) + protowire.SizeBytes(protobuf.Size(n))
}

func sizeOfNumber(field protowire.Number, n uint64) int {
	if n == 0 {
		return 0
	}

	return protowire.SizeTag(field) + protowire.SizeVarint(n)
}

func sizeOfBytes(field protowire.Number, content []byte) int {
	if len(content) == 0 {
		return 0
	}

	return protowire.SizeTag(field) + protowire.SizeBytes(len(content))
}
