package minogrpc

import (
	"bytes"
	"slices"
	"testing"

	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// What the codec does to the bytes has no public face: nobody notices it.

// firstFrameField is the first field of a packet that is a frame. Those have no
// serialized packet, and the codec leaves them to gRPC.
const firstFrameField = 21

// fullPacket returns a packet with all the fields, of about that many bytes.
func fullPacket(t *testing.T, size int) *ptypes.Packet {
	t.Helper()

	p := &ptypes.Packet{
		Serialized: bytes.Repeat([]byte("packet"), size/6),
		Origin:     []byte("0123456789abcdef"),
		Sequence:   1 << 40,
		HopLimit:   132,
		BudgetMs:   30_000,
	}

	fields := p.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if fields.Get(i).Number() >= firstFrameField {
			continue
		}

		require.True(t, p.ProtoReflect().Has(fields.Get(i)), "%s is not set", fields.Get(i).Name())
	}

	require.Equal(t, protoreflect.FieldNumber(serializedField), fields.ByName("serialized").Number())

	return p
}

func TestCodec_WritesWhatGRPCWrites(t *testing.T) {
	for _, size := range []int{0, 100, largePacket - 100, largePacket + 100, 3 * largePacket} {
		p := fullPacket(t, max(size, 6))

		want, err := proto.Marshal(p)
		require.NoError(t, err)

		data, err := newCodec().Marshal(p)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, data.Materialize()), "%d bytes", size)
	}

	ack := &ptypes.Ack{Errors: []string{"e1"}}
	data, err := newCodec().Marshal(ack)
	require.NoError(t, err)
	require.Equal(t, []byte{0x0a, 2, 'e', '1'}, data.Materialize())
}

// inPieces returns the data as they come from the network.
func inPieces(data []byte) mem.BufferSlice {
	var pieces mem.BufferSlice
	for piece := range slices.Chunk(data, 10_001) {
		pieces = append(pieces, mem.SliceBuffer(piece))
	}

	return pieces
}

func TestCodec_ReadsWhatGRPCReads(t *testing.T) {
	large, err := proto.Marshal(fullPacket(t, largePacket+100))
	require.NoError(t, err)
	rest, err := proto.Marshal(&ptypes.Packet{Origin: []byte("another"), Serialized: []byte("the last counts")})
	require.NoError(t, err)

	unknown := protowire.AppendTag(nil, 100, protowire.BytesType)
	unknown = protowire.AppendBytes(unknown, make([]byte, largePacket))

	tooLong := protowire.AppendTag(nil, serializedField, protowire.BytesType)
	tooLong = protowire.AppendVarint(tooLong, 1<<40)

	cases := map[string][]byte{
		"empty":              {},
		"small":              rest,
		"large":              large,
		"a field twice":      append(bytes.Clone(large), rest...),
		"other order":        append(bytes.Clone(rest), large...),
		"unknown field":      append(bytes.Clone(unknown), rest...),
		"no length":          append([]byte{0x0a}, bytes.Repeat([]byte{0xff}, largePacket)...),
		"too long":           append(tooLong, large...),
		"truncated":          large[:len(large)-1],
		"truncated in bytes": large[:largePacket+50],
		"garbage":            bytes.Repeat([]byte{0x07}, 2*largePacket),
	}

	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			want, got := &ptypes.Packet{}, &ptypes.Packet{Sequence: 1}
			wantErr := proto.Unmarshal(data, want)
			gotErr := newCodec().Unmarshal(inPieces(data), got)
			require.Equal(t, wantErr == nil, gotErr == nil, "%v", gotErr)

			if wantErr == nil {
				require.True(t, proto.Equal(want, got))
			}
		})
	}
}
