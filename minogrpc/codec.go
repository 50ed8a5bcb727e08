package minogrpc

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	protobuf "google.golang.org/protobuf/proto"
)

// largePacket is the size, in bytes, from which a packet is not copied on its way
// into gRPC. A small one is better sent in one piece.
const largePacket = 1 << 20

// serializedField is the number of Packet.serialized.
const serializedField = 1

// codec is that of gRPC, without the copies that it makes of a large packet in
// either direction: gRPC keeps them in pools, for longer than the packet lasts.
type codec struct {
	encoding.CodecV2
}

func newCodec() codec {
	return codec{encoding.GetCodecV2(proto.Name)}
}

// Name implements encoding.CodecV2. Another name would be seen by the other node.
func (codec) Name() string {
	return ""
}

// Marshal implements encoding.CodecV2. What is sent belongs to gRPC from then on.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	p, ok := v.(*ptypes.Packet)
	if !ok || len(p.GetSerialized()) < largePacket {
		return c.CodecV2.Marshal(v)
	}

	rest, err := protobuf.Marshal(&ptypes.Packet{
		Origin:   p.GetOrigin(),
		Sequence: p.GetSequence(),
		HopLimit: p.GetHopLimit(),
		BudgetMs: p.GetBudgetMs(),
	})
	if err != nil {
		return nil, err
	}

	first := protowire.AppendTag(nil, serializedField, protowire.BytesType)
	first = protowire.AppendVarint(first, uint64(len(p.GetSerialized())))

	return mem.BufferSlice{mem.SliceBuffer(first), mem.SliceBuffer(p.GetSerialized()), mem.SliceBuffer(rest)}, nil
}

// Unmarshal implements encoding.CodecV2. What it makes shares no memory with the
// data.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	p, ok := v.(*ptypes.Packet)
	if !ok || data.Len() < largePacket {
		return c.CodecV2.Unmarshal(data, v)
	}

	reader := data.Reader()
	defer func() { _ = reader.Close() }() // it never fails

	size, ok := serializedSize(reader)
	if !ok || size > reader.Remaining() {
		return c.CodecV2.Unmarshal(data, v)
	}

	serialized, rest := make([]byte, size), make([]byte, reader.Remaining()-size)

	// There is as much as it says there is: neither can fail.
	_, _ = io.ReadFull(reader, serialized)
	_, _ = io.ReadFull(reader, rest)

	protobuf.Reset(p)
	p.Serialized = serialized

	return protobuf.UnmarshalOptions{Merge: true}.Unmarshal(rest, p)
}

// serializedSize reads what comes before the first field, and returns its size. It
// returns false when the first field is another one.
func serializedSize(reader *mem.Reader) (size int, ok bool) {
	tag, err := reader.ReadByte()
	if err != nil || uint64(tag) != protowire.EncodeTag(serializedField, protowire.BytesType) {
		return 0, false
	}

	n, err := binary.ReadUvarint(reader)
	if err != nil || n > math.MaxInt32 {
		return 0, false
	}

	return int(n), true
}
