package protobuf_test

import (
	"testing"

	"github.com/minogrpc/session/protocol"
	"github.com/minogrpc/session/protocol/protobuf"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

var _ protocol.Codec = protobuf.Codec{}

func TestCodec_BringsBackTheMessage(t *testing.T) {
	msg := &durationpb.Duration{Seconds: 7}

	data, err := protobuf.Codec{}.Marshal(&msg)
	require.NoError(t, err)

	var again *durationpb.Duration
	require.NoError(t, protobuf.Codec{}.Unmarshal(data, &again))
	require.True(t, proto.Equal(msg, again))
}

// The empty message has no bytes, and is not nil.
func TestCodec_EmptyMessageIsNotNil(t *testing.T) {
	var again *durationpb.Duration
	require.NoError(t, protobuf.Codec{}.Unmarshal(nil, &again))
	require.NotNil(t, again)
}

func TestCodec_RefusesWhatIsNoMessage(t *testing.T) {
	n, p := 1, new(int)

	_, err := protobuf.Codec{}.Marshal(&n)
	require.EqualError(t, err, "int is no message of protobuf")
	require.EqualError(t, protobuf.Codec{}.Unmarshal(nil, &n), "int is no message of protobuf")
	require.EqualError(t, protobuf.Codec{}.Unmarshal(nil, &p), "*int is no message of protobuf")

	var msg *durationpb.Duration
	require.Error(t, protobuf.Codec{}.Unmarshal([]byte{0xff}, &msg))
	require.Nil(t, msg)
}

// A codec of several types may have messages of protobuf in it.
func TestCodec_FitsIntoTypes(t *testing.T) {
	types := protocol.Types(protobuf.Codec{}, map[string]proto.Message{"duration": &durationpb.Duration{}})

	var msg proto.Message = &durationpb.Duration{Seconds: 7}

	data, err := types.Marshal(&msg)
	require.NoError(t, err)

	var again proto.Message
	require.NoError(t, types.Unmarshal(data, &again))
	require.True(t, proto.Equal(msg, again))
}
