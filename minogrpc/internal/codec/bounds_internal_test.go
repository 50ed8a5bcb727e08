package codec

import (
	"bytes"
	"slices"
	"testing"

	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// bytesField returns a field of those bytes.
func bytesField(number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

// Promise S3: a packet of countless items of nothing, each of which becomes dozens of
// times as large when it is decoded, is refused; also where something before them keeps
// the packet from being read in the short way.
func TestCodec_CountlessItemsAreAnError(t *testing.T) {
	const size = 1 << 20

	group := protowire.AppendTag(protowire.AppendTag(nil, 100, protowire.StartGroupType), 100, protowire.EndGroupType)
	delivered := append(protowire.AppendTag(nil, packetDelivered, protowire.VarintType), 0)
	reached := append(protowire.AppendTag(nil, receiptReached, protowire.VarintType), 0)
	failures := bytes.Repeat(bytesField(receiptFailures, nil), size/2)

	cases := map[string][]byte{
		"parcels":            bytes.Repeat(bytesField(packetParcels, nil), size/3),
		"receipts":           bytes.Repeat(bytesField(packetReceipts, nil), size/3),
		"chunks":             bytes.Repeat(bytesField(packetChunks, nil), size/3),
		"delivered":          bytesField(packetDelivered, make([]byte, size)),
		"delivered unpacked": bytes.Repeat(delivered, size/3),
		"reached":            bytesField(packetReceipts, bytesField(receiptReached, make([]byte, size))),
		"reached unpacked":   bytesField(packetReceipts, bytes.Repeat(reached, size/2)),
		"failures":           bytesField(packetReceipts, failures),
		"failures in many":   bytes.Repeat(bytesField(packetReceipts, failures[:2_000]), size/2_000),
	}

	for name, data := range cases {
		for _, prefix := range [][]byte{nil, group, bytesField(100, []byte("unknown"))} {
			p := &ptypes.Packet{}
			err := New().Unmarshal(inPieces(append(bytes.Clone(prefix), data...)), p)
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%s after %x: %v", name, prefix, err)
			require.Zero(t, proto.Size(p), "%s after %x", name, prefix)
		}
	}
}

// What a session may send at the very most is not refused.
func TestCodec_ManyItemsAreRead(t *testing.T) {
	const unsettled = 10_000

	p := &ptypes.Packet{Delivered: make([]uint64, 2*unsettled)}
	failure := &ptypes.Failure{Destination: []byte("FAh:1"), Reason: ptypes.Reason_REASON_CLOSED, Cause: "x"}
	p.Receipts = append(p.Receipts, &ptypes.Receipt{
		Failures: slices.Repeat([]*ptypes.Failure{failure}, 10*unsettled),
	})

	for range unsettled {
		p.Parcels = append(p.Parcels, &ptypes.Parcel{})
		p.Receipts = append(p.Receipts, &ptypes.Receipt{Failures: []*ptypes.Failure{{Cause: "why"}}})
	}

	data, err := New().Marshal(p)
	require.NoError(t, err)

	for _, rest := range [][]byte{nil, bytesField(100, []byte("unknown"))} {
		got := &ptypes.Packet{}
		require.NoError(t, New().Unmarshal(append(slices.Clip(data), mem.SliceBuffer(rest)), got))
		require.Len(t, got.GetReceipts(), unsettled+1)
		require.Len(t, got.GetReceipts()[0].GetFailures(), 10*unsettled)
		require.Len(t, got.GetParcels(), unsettled)
		require.Len(t, got.GetDelivered(), 2*unsettled)
	}
}
