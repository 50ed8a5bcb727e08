package ptypes_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// golden returns the bytes of a file that holds them in hex.
func golden(t *testing.T, name string) []byte {
	t.Helper()

	text, err := os.ReadFile(filepath.Join("..", "testdata", "ptypes", name))
	require.NoError(t, err)

	data, err := hex.DecodeString(string(text))
	require.NoError(t, err)

	return data
}

// The fields below 16 are shared with every node of an existing network.
func TestMessages_BytesAreThoseOfTheNetwork(t *testing.T) {
	chain := &ptypes.CertificateChain{Address: []byte("FBa:1"), Value: []byte{1, 2}}

	for name, msg := range map[string]proto.Message{
		"packet.hex":            &ptypes.Packet{Serialized: []byte("hi")},
		"ack.hex":               &ptypes.Ack{Errors: []string{"e1"}},
		"message.hex":           &ptypes.Message{From: []byte("FBa:1"), Payload: []byte("hi")},
		"certificate_chain.hex": chain,
		"join_request.hex":      &ptypes.JoinRequest{Token: "t", Chain: chain},
		"join_response.hex":     &ptypes.JoinResponse{Peers: []*ptypes.CertificateChain{chain}},
	} {
		data, err := proto.Marshal(msg)
		require.NoError(t, err)
		require.Equal(t, golden(t, name), data, name)

		back := msg.ProtoReflect().New().Interface()
		require.NoError(t, proto.Unmarshal(data, back))
		require.True(t, proto.Equal(msg, back), name)
	}
}

func TestService_NamesAreThoseOfTheNetwork(t *testing.T) {
	require.Equal(t, "/ptypes.Overlay/Join", ptypes.Overlay_Join_FullMethodName)
	require.Equal(t, "/ptypes.Overlay/Share", ptypes.Overlay_Share_FullMethodName)
	require.Equal(t, "/ptypes.Overlay/Call", ptypes.Overlay_Call_FullMethodName)
	require.Equal(t, "/ptypes.Overlay/Stream", ptypes.Overlay_Stream_FullMethodName)
	require.Equal(t, "/ptypes.Overlay/Forward", ptypes.Overlay_Forward_FullMethodName)
}

// A node that knows the shared fields only passes over what this library adds. It
// is played by a message that has the same field 1 and nothing else.
func TestMessages_AddedFieldsAreInvisibleToExistingNodes(t *testing.T) {
	packet := &ptypes.Packet{
		Serialized: []byte("hi"),
		Origin:     make([]byte, 16),
		Sequence:   1,
		HopLimit:   2,
		BudgetMs:   3,
		Frame:      4,
		Receipts:   []*ptypes.Receipt{{ParcelId: 5, Last: true}},
	}

	data, err := proto.Marshal(packet)
	require.NoError(t, err)

	var oldPacket ptypes.CertificateChain // bytes in field 1
	require.NoError(t, proto.Unmarshal(data, &oldPacket))
	require.Equal(t, "hi", string(oldPacket.GetAddress()))
	require.Equal(t, golden(t, "packet.hex"), shared(t, &oldPacket))

	ack := &ptypes.Ack{
		Errors:   []string{"e1"},
		Failures: []*ptypes.Failure{{Destination: []byte("FBa:1"), Reason: ptypes.Reason_REASON_TIMEOUT}},
	}

	data, err = proto.Marshal(ack)
	require.NoError(t, err)

	var oldAck ptypes.JoinRequest // a string in field 1
	require.NoError(t, proto.Unmarshal(data, &oldAck))
	require.Equal(t, "e1", oldAck.GetToken())
	require.Equal(t, golden(t, "ack.hex"), shared(t, &oldAck))
}

// A node that keeps what it does not know and passes it on gives it back whole.
func TestMessages_AddedFieldsSurviveANodeThatKeepsThem(t *testing.T) {
	packet := &ptypes.Packet{Serialized: []byte("hi"), Sequence: 7}

	data, err := proto.Marshal(packet)
	require.NoError(t, err)

	var old ptypes.CertificateChain
	require.NoError(t, proto.Unmarshal(data, &old))

	data, err = proto.Marshal(&old)
	require.NoError(t, err)

	var back ptypes.Packet
	require.NoError(t, proto.Unmarshal(data, &back))
	require.True(t, proto.Equal(packet, &back))
}

// Every number from 16 up is this library's own, and every one below is not.
func TestMessages_AddedFieldsStartAtSixteen(t *testing.T) {
	for msg, known := range map[proto.Message]int{&ptypes.Packet{}: 1, &ptypes.Ack{}: 1, &ptypes.Message{}: 2} {
		fields := msg.ProtoReflect().Descriptor().Fields()
		below := 0

		for i := range fields.Len() {
			if fields.Get(i).Number() < protowire.Number(16) {
				below++
			}
		}

		require.Equal(t, known, below, "%T", msg)
	}
}

// shared returns the bytes of a message without the fields that it does not know,
// which must be there.
func shared(t *testing.T, msg proto.Message) []byte {
	t.Helper()

	require.NotEmpty(t, msg.ProtoReflect().GetUnknown())
	msg.ProtoReflect().SetUnknown(nil)

	data, err := proto.Marshal(msg)
	require.NoError(t, err)

	return data
}
