package tree_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/serde/xml"
	"github.com/stretchr/testify/require"
)

func TestPacket_BytesAreThoseOfTheNetwork(t *testing.T) {
	table, err := newRouter().New(nil, nil)
	require.NoError(t, err)

	source := session.NewOrchestratorAddress(session.NewAddress("127.0.0.1:2000"))
	to := []mino.Address{session.NewAddress("127.0.0.1:2001"), session.NewAddress("grpc://127.0.0.1:2002")}

	data, err := table.Make(source, to, []byte("hello")).Serialize(json.NewContext())
	require.NoError(t, err)
	require.Equal(t, golden(t, "packet.json"), string(data))

	data, err = table.Make(source, nil, nil).Serialize(json.NewContext())
	require.NoError(t, err)
	require.Equal(t, golden(t, "packet_empty.json"), string(data))
}

func TestPacketOf_ReadsTheBytesOfTheNetwork(t *testing.T) {
	p, err := newRouter().GetPacketFactory().PacketOf(json.NewContext(), []byte(golden(t, "packet.json")))

	require.NoError(t, err)
	require.Equal(t, "Orchestrator:grpcs://127.0.0.1:2000", p.GetSource().String())
	require.Equal(t, "hello", string(p.GetMessage()))
	require.Equal(t, []mino.Address{
		session.NewAddress("127.0.0.1:2001"),
		session.NewAddress("grpc://127.0.0.1:2002"),
	}, p.GetDestination())
}

func TestHandshake_BytesAreThoseOfTheNetwork(t *testing.T) {
	for _, name := range []string{"handshake.json", "handshake_leaf.json"} {
		data, err := handshakeOf(t, newRouter(), golden(t, name)).Serialize(json.NewContext())

		require.NoError(t, err)
		require.Equal(t, golden(t, name), string(data))
	}
}

func TestPacketOf_DuplicatesCollapse(t *testing.T) {
	p, err := newRouter().GetPacketFactory().PacketOf(json.NewContext(),
		[]byte(`{"Source":"RkJhOjE=","Dest":["RkJiOjE=","RkJiOjE="],"Message":"aGk="}`))

	require.NoError(t, err)
	require.Equal(t, []mino.Address{session.NewAddress("b:1")}, p.GetDestination())
}

// Existing parents send such heights to leaves.
func TestHandshakeOf_HeightOfALeafWithAddressesCountsAsOne(t *testing.T) {
	for _, height := range []string{"-1", "0", "1"} {
		r := newRouter()
		hs := handshakeOf(t, r, `{"Height":`+height+`,"Addresses":["RkJhOjE=","RkJiOjE="]}`)

		table, err := r.GenerateTableFrom(hs)
		require.NoError(t, err)

		a, b := session.NewAddress("a:1"), session.NewAddress("b:1")
		routes, _ := table.Forward(table.Make(a, []mino.Address{a, b}, nil))
		require.Len(t, routes, 2)
		require.Equal(t, golden(t, "handshake_stranger.json"), handshakeText(t, table, a))
	}
}

// malformed are the texts that stand for neither a packet nor a handshake.
var malformed = map[string]string{
	"nothing":  "",
	"null":     "null",
	"number":   "7",
	"list":     "[]",
	"string":   `"x"`,
	"empty":    "{}",
	"binary":   "\x00\xff\xfe",
	"cut":      `{"Height":1,"Addresses":[`,
	"trailing": `{"Height":1,"Addresses":[],"Source":"RkJhOjE=","Dest":[],"Message":""} x`,
	"twice":    `{"Height":1,"Addresses":[]}{"Height":1,"Addresses":[]}`,
}

// Promise R3: a packet from the network is input.
func TestPacketOf_RefusesWhatIsNoPacket(t *testing.T) {
	tests := map[string]string{
		"no source":            `{"Dest":["RkJiOjE="],"Message":""}`,
		"null source":          `{"Source":null,"Dest":[],"Message":""}`,
		"empty source":         `{"Source":"","Dest":[],"Message":""}`,
		"source without host":  `{"Source":"RkI=","Dest":[],"Message":""}`,
		"source of numbers":    `{"Source":[70,66,97,58,49],"Dest":[],"Message":""}`,
		"no destinations":      `{"Source":"RkJhOjE=","Message":""}`,
		"null destinations":    `{"Source":"RkJhOjE=","Dest":null,"Message":""}`,
		"null destination":     `{"Source":"RkJhOjE=","Dest":[null],"Message":""}`,
		"empty destination":    `{"Source":"RkJhOjE=","Dest":["RkJiOjE=",""],"Message":""}`,
		"one byte":             `{"Source":"RkJhOjE=","Dest":["Rg=="],"Message":""}`,
		"destination no host":  `{"Source":"RkJhOjE=","Dest":["RkI6MjAwMA=="],"Message":""}`, // FB:2000
		"unknown type":         `{"Source":"RkJhOjE=","Dest":["RloxOjE="],"Message":""}`,     // FZ1:1
		"unknown role":         `{"Source":"RkJhOjE=","Dest":["WEIxOjE="],"Message":""}`,     // XB1:1
		"not base64":           `{"Source":"RkJhOjE=","Dest":["*"],"Message":""}`,
		"number":               `{"Source":"RkJhOjE=","Dest":[7],"Message":""}`,
		"list of numbers":      `{"Source":"RkJhOjE=","Dest":[[70,66,97,58,49]],"Message":""}`,
		"message not base64":   `{"Source":"RkJhOjE=","Dest":[],"Message":"a"}`,
		"too many, same":       `{"Source":"RkJhOjE=","Dest":["RkJiOjE=","RkJiOjE=","RkJiOjE="],"Message":""}`,
		"too many, not parsed": `{"Source":"RkJhOjE=","Dest":[` + strings.Repeat(`"",`, 1000) + `""],"Message":""}`,
	}

	factory := newRouter(tree.WithMaxAddresses(2)).GetPacketFactory()

	for _, inputs := range []map[string]string{tests, malformed} {
		for name, input := range inputs {
			_, err := factory.PacketOf(json.NewContext(), []byte(input))
			require.ErrorContains(t, err, "failed to decode packet: ", name)

			_, err = factory.Deserialize(json.NewContext(), []byte(input))
			require.Error(t, err, name)
		}
	}
}

// Promise R3: a handshake from the network is input.
func TestHandshakeOf_RefusesWhatIsNoHandshake(t *testing.T) {
	tests := map[string]string{
		"no height":            `{"Addresses":[]}`,
		"null height":          `{"Height":null,"Addresses":[]}`,
		"height below -1":      `{"Height":-2,"Addresses":[]}`,
		"height above 64":      `{"Height":65,"Addresses":[]}`,
		"huge height":          `{"Height":99999999999999999999,"Addresses":[]}`,
		"fraction":             `{"Height":1.5,"Addresses":[]}`,
		"height as text":       `{"Height":"1","Addresses":[]}`,
		"no addresses":         `{"Height":1}`,
		"null addresses":       `{"Height":1,"Addresses":null}`,
		"null address":         `{"Height":1,"Addresses":[null]}`,
		"empty address":        `{"Height":1,"Addresses":[""]}`,
		"no host":              `{"Height":1,"Addresses":["RkI="]}`,
		"unknown type":         `{"Height":1,"Addresses":["RloxOjE="]}`,
		"same address twice":   `{"Height":1,"Addresses":["RkJiOjE=","RkJiOjE="]}`,
		"list of numbers":      `{"Height":1,"Addresses":[[70,66,97,58,49]]}`,
		"too many":             `{"Height":1,"Addresses":["RkJhOjE=","RkJiOjE=","RkJjOjE="]}`,
		"too many, not parsed": `{"Height":1,"Addresses":[` + strings.Repeat(`"",`, 1000) + `""]}`,
	}

	factory := newRouter(tree.WithMaxAddresses(2)).GetHandshakeFactory()

	for _, inputs := range []map[string]string{tests, malformed} {
		for name, input := range inputs {
			_, err := factory.HandshakeOf(json.NewContext(), []byte(input))
			require.ErrorContains(t, err, "failed to decode handshake: ", name)

			_, err = factory.Deserialize(json.NewContext(), []byte(input))
			require.Error(t, err, name)
		}
	}
}

// Promise R3: a list beyond the limit is refused before it is allocated.
func TestHandshakeOf_ListBeyondTheLimitCostsNothing(t *testing.T) {
	factory := newRouter(tree.WithMaxAddresses(1000)).GetHandshakeFactory()
	ctx := json.NewContext()

	cost := func(n int) float64 {
		data := []byte(`{"Height":1,"Addresses":[` + strings.Repeat(`"RkJhOjE=",`, n) + `""]}`)

		return testing.AllocsPerRun(5, func() {
			_, err := factory.HandshakeOf(ctx, data)
			require.ErrorContains(t, err, "more addresses than the limit of 1000")
		})
	}

	require.Less(t, cost(100_000), 100.0)
}

func TestFormats_UnknownOneIsAnError(t *testing.T) {
	ctx := xml.NewContext()
	table := newTable(t, newRouter(), addresses(2))

	_, err := table.Make(addresses(1)[0], addresses(2), nil).Serialize(ctx)
	require.ErrorContains(t, err, `no engine for format "XML"`)

	_, err = table.PrepareHandshakeFor(addresses(1)[0]).Serialize(ctx)
	require.ErrorContains(t, err, `no engine for format "XML"`)

	_, err = newRouter().GetPacketFactory().PacketOf(ctx, nil)
	require.ErrorContains(t, err, `no engine for format "XML"`)

	_, err = newRouter().GetHandshakeFactory().HandshakeOf(ctx, nil)
	require.ErrorContains(t, err, `no engine for format "XML"`)
}

// Promise R3: no input makes the factory panic, and what it accepts it writes in
// one form only.
func FuzzPacketOf(f *testing.F) {
	f.Add([]byte(golden(f, "packet.json")))
	f.Add([]byte(golden(f, "packet_empty.json")))
	f.Add([]byte(`{"Source":"RkJhOjE=","Dest":["RkJiOjE=","RkJiOjE="]}`))
	f.Add([]byte(`{"dest":[""],"Source":"RkI="}`))

	fuzz(f, newRouter().GetPacketFactory())
}

// Promise R3: as above.
func FuzzHandshakeOf(f *testing.F) {
	f.Add([]byte(golden(f, "handshake.json")))
	f.Add([]byte(golden(f, "handshake_leaf.json")))
	f.Add([]byte(`{"Height":-1,"Addresses":["RkJhOjE="]}`))
	f.Add([]byte(`{"Height":1e9,"Addresses":null}`))

	fuzz(f, newRouter().GetHandshakeFactory())
}

// fuzz decodes, encodes and decodes again.
func fuzz(f *testing.F, factory serde.Factory) {
	f.Helper()

	for _, text := range malformed {
		f.Add([]byte(text))
	}

	ctx := json.NewContext()

	f.Fuzz(func(t *testing.T, data []byte) {
		msg, err := factory.Deserialize(ctx, data)
		if err != nil {
			return
		}

		once, err := msg.Serialize(ctx)
		require.NoError(t, err)

		msg, err = factory.Deserialize(ctx, once)
		require.NoError(t, err)

		twice, err := msg.Serialize(ctx)
		require.NoError(t, err)
		require.True(t, bytes.Equal(once, twice), "%s is not %s", once, twice)
	})
}
