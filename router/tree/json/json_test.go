package json_test

import (
	stdjson "encoding/json"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	treejson "github.com/minogrpc/session/router/tree/json"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

var (
	a mino.Address = session.NewAddress("a:1")
	b mino.Address = session.NewAddress("b:1")
)

func TestJSON_IsThatOfTheMessages(t *testing.T) {
	packet, err := stdjson.Marshal(treejson.PacketJSON{
		Source: []byte("FBa:1"), Dest: [][]byte{[]byte("FBb:1")}, Message: []byte("hello"),
	})
	require.NoError(t, err)

	handshake, err := stdjson.Marshal(treejson.HandshakeJSON{Height: 2, Addresses: [][]byte{[]byte("FBb:1")}})
	require.NoError(t, err)

	for text, msg := range map[string]serde.Message{
		string(packet):    types.NewPacket(a, []byte("hello"), b),
		string(handshake): types.NewHandshake(2, b),
	} {
		data, err := msg.Serialize(json.NewContext())
		require.NoError(t, err)
		require.Equal(t, text, string(data))
	}
}
