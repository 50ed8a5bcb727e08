package codec

import (
	"bytes"
	"errors"
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

// fullPacket returns a packet with all the fields, and content of that many bytes
// where there may be much.
func fullPacket(t *testing.T, size int) *ptypes.Packet {
	t.Helper()

	content := func(first byte) []byte { return bytes.Repeat([]byte{first}, max(size, 1)) }
	news := &ptypes.News{
		Player: []byte("FAa:1"), State: ptypes.PlayerState_PLAYER_STATE_FAILED, Version: 1 << 60, Text: "why",
	}
	parcel := &ptypes.Parcel{
		Id: 1 << 20, Origin: []byte("0123456789abcdef"), Sequence: 1 << 40, HopLimit: 132, BudgetMs: 30_000,
		Header: content('h'), Body: content('b'), Chunked: 5, Unordered: true, HeaderSize: 300,
		News: news, Trace: []byte("trace"),
	}
	chunk := &ptypes.Chunk{Id: 6, Offset: 1 << 32, Total: 1 << 33, Data: content('c')}
	p := &ptypes.Packet{
		Serialized: content('s'),
		Origin:     []byte("0123456789abcdef"),
		Sequence:   1 << 40,
		HopLimit:   132,
		BudgetMs:   30_000,
		Receipts: []*ptypes.Receipt{
			{ParcelId: 8, Last: true, Failures: []*ptypes.Failure{{Cause: "why"}}, Reached: []uint32{0, 300}},
			{ParcelId: 9},
		},
		Frame:     1 << 50,
		Received:  7,
		Chunks:    []*ptypes.Chunk{chunk, {}},
		Parcels:   []*ptypes.Parcel{{Id: 1}, parcel, {}},
		Delivered: []uint64{0, 1, 1 << 60},
		Goodbye:   true,
		Cut:       true,
		Read:      1 << 40,
		QuietMs:   400,
		Ask:       true,
		Probe:     12,
		Probed:    1 << 19,
		News:      news,
		Trace:     []byte("trace"),
	}

	requireAll(t, p.ProtoReflect())
	requireAll(t, parcel.ProtoReflect())
	requireAll(t, chunk.ProtoReflect())
	requireAll(t, news.ProtoReflect())

	return p
}

// requireAll fails when a message has a field that is not set: the codec would not be
// tested with it.
func requireAll(t *testing.T, m protoreflect.Message) {
	t.Helper()

	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		require.True(t, m.Has(fields.Get(i)), "%s is not set", fields.Get(i).Name())
	}
}

func TestCodec_WritesWhatGRPCWrites(t *testing.T) {
	for _, size := range []int{0, 100, largeBytes - 1, largeBytes, 3 * largeBytes} {
		p := fullPacket(t, size)

		want, err := proto.Marshal(p)
		require.NoError(t, err)

		data, err := New().Marshal(p)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, data.Materialize()), "%d bytes", size)
	}

	ack := &ptypes.Ack{Errors: []string{"e1"}}
	data, err := New().Marshal(ack)
	require.NoError(t, err)
	require.Equal(t, []byte{0x0a, 2, 'e', '1'}, data.Materialize())
}

// newsField returns a packet with nothing but news.
func newsField(text string) []byte {
	content := protowire.AppendTag(nil, 4, protowire.BytesType)
	content = protowire.AppendString(content, text)

	return protowire.AppendBytes(protowire.AppendTag(nil, packetNews, protowire.BytesType), content)
}

// inPieces returns the data as they come from the network.
func inPieces(data []byte) mem.BufferSlice {
	var pieces mem.BufferSlice
	for piece := range slices.Chunk(data, 10_001) {
		pieces = append(pieces, mem.SliceBuffer(piece))
	}

	return pieces
}

// Parcels of one sender to one receiver have the same origin and header. These are read once, wherever
// the pieces of the network end, and each other one is what it was.
func TestCodec_ReadsParcelsThatAreAlike(t *testing.T) {
	want := &ptypes.Packet{}

	for i := range 100 {
		p := &ptypes.Parcel{Origin: []byte("0123456789abcdef"), Header: []byte("from a to b"), Body: []byte{byte(i)}}

		switch {
		case i%7 == 5:
			p.Header = []byte("from a to c")
		case i%11 == 5:
			p.Origin = []byte("0123456789abcdeg")
		case i%13 == 5:
			p.Origin, p.Header = nil, nil
		}

		want.Parcels = append(want.Parcels, p)
	}

	data, err := proto.Marshal(want)
	require.NoError(t, err)

	for cut := range data {
		got := &ptypes.Packet{}
		parts := mem.BufferSlice{mem.SliceBuffer(data[:cut]), mem.SliceBuffer(data[cut:])}
		require.NoError(t, New().Unmarshal(parts, got))
		require.True(t, proto.Equal(want, got), cut)
	}

	got := &ptypes.Packet{}
	require.NoError(t, New().Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, got))
	require.Same(t, &got.GetParcels()[0].GetHeader()[0], &got.GetParcels()[1].GetHeader()[0])
}

func TestCodec_ReadsWhatGRPCReads(t *testing.T) {
	large, err := proto.Marshal(fullPacket(t, largeBytes+100))
	require.NoError(t, err)
	rest, err := proto.Marshal(&ptypes.Packet{Origin: []byte("another"), Serialized: []byte("the last counts")})
	require.NoError(t, err)

	unknown := protowire.AppendTag(nil, 100, protowire.BytesType)
	unknown = protowire.AppendBytes(unknown, make([]byte, largeBytes))

	much := protowire.AppendTag(nil, packetHopLimit, protowire.VarintType)
	much = protowire.AppendVarint(much, 1<<33-1)

	tooLong := protowire.AppendTag(nil, packetSerialized, protowire.BytesType)
	tooLong = protowire.AppendVarint(tooLong, 1<<40)

	cases := map[string][]byte{
		"empty":               {},
		"small":               rest,
		"a number of 33 bits": much,
		"another type":        append(protowire.AppendTag(nil, packetSequence, protowire.BytesType), 1, 1),
		"delivered unpacked":  append(protowire.AppendTag(nil, packetDelivered, protowire.VarintType), 1),
		"number of bytes":     append(protowire.AppendTag(nil, packetOrigin, protowire.VarintType), 1),
		"field 0":             {0, 0},
		"news twice":          append(newsField("first"), newsField("")...),
		"news of no text":     newsField("\xff"),
		"large":               large,
		"a field twice":       append(bytes.Clone(large), rest...),
		"other order":         append(bytes.Clone(rest), large...),
		"unknown field":       append(bytes.Clone(unknown), rest...),
		"no length":           append([]byte{0x0a}, bytes.Repeat([]byte{0xff}, largeBytes)...),
		"too long":            append(tooLong, large...),
		"truncated":           large[:len(large)-1],
		"truncated in bytes":  large[:largeBytes+50],
		"garbage":             bytes.Repeat([]byte{0x07}, 2*largeBytes),
	}

	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			want, got := &ptypes.Packet{}, &ptypes.Packet{Sequence: 1}
			wantErr := proto.Unmarshal(data, want)
			gotErr := New().Unmarshal(inPieces(data), got)
			require.Equal(t, wantErr == nil, gotErr == nil, "%v", gotErr)

			if wantErr == nil {
				require.True(t, proto.Equal(want, got))
			}
		})
	}
}

// Promise S3: what arrives takes no more memory than its size, whatever it says.
func FuzzCodec(f *testing.F) {
	parcel := &ptypes.Parcel{Id: 1, Body: []byte("hi"), Header: []byte("head")}

	for _, p := range []*ptypes.Packet{
		{Serialized: []byte("hello"), Origin: []byte("0123456789abcdef"), Sequence: 1},
		{Frame: 1, Parcels: []*ptypes.Parcel{parcel}, Delivered: []uint64{1, 2}},
		{Frame: 2, Chunks: []*ptypes.Chunk{{Id: 1, Data: []byte("hi")}}, Receipts: []*ptypes.Receipt{{ParcelId: 1}}},
		{Goodbye: true, Received: 3},
		{Serialized: []byte("to"), News: &ptypes.News{Player: []byte("FAa:1"), Version: 7, Text: "why"}},
	} {
		data, err := proto.Marshal(p)
		require.NoError(f, err)
		f.Add(data, 3)
	}

	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		pieces := mem.BufferSlice{mem.SliceBuffer(data)}
		if cut > 0 && cut < len(data) {
			pieces = mem.BufferSlice{mem.SliceBuffer(data[:cut]), mem.SliceBuffer(data[cut:])}
		}

		want, got := &ptypes.Packet{}, &ptypes.Packet{}
		wantErr := proto.Unmarshal(data, want)
		gotErr := New().Unmarshal(pieces, got)

		if errors.Is(gotErr, errItems) {
			return
		}

		require.Equal(t, wantErr == nil, gotErr == nil, "%v, %v", wantErr, gotErr)

		if wantErr != nil {
			return
		}

		require.True(t, proto.Equal(want, got))

		again, err := New().Marshal(got)
		require.NoError(t, err)

		// What is not known is not passed on.
		known, read := &ptypes.Packet{}, &ptypes.Packet{}
		require.NoError(t, proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, known))
		require.NoError(t, proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(again.Materialize(), read))
		require.True(t, proto.Equal(known, read))
	})
}
