package types_test

import (
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

func TestHandshake_SurvivesTheNetwork(t *testing.T) {
	h := types.NewHandshake(2, players[0], players[1], players[0])
	require.Equal(t, 2, h.GetHeight())
	require.Equal(t, players, h.GetAddresses())

	data, err := h.Serialize(json.NewContext())
	require.NoError(t, err)
	require.Equal(t, golden(t, "handshake.json"), string(data))

	got, err := types.NewHandshakeFactory(session.AddressFactory{}).Deserialize(json.NewContext(), data)
	require.NoError(t, err)
	require.Equal(t, 2, got.(types.Handshake).GetHeight())
	require.Equal(t, players, got.(types.Handshake).GetAddresses())
}

func TestHandshake_ZeroValueIsThatOfALeaf(t *testing.T) {
	data, err := types.Handshake{}.Serialize(json.NewContext())
	require.NoError(t, err)
	require.Equal(t, golden(t, "handshake_stranger.json"), string(data))
}

// Promise R3: what a node would refuse from the network it neither sends nor takes from
// the application.
func TestHandshake_BadOneIsAnError(t *testing.T) {
	r := tree.NewRouter(session.AddressFactory{}, tree.WithMaxAddresses(2))

	for name, h := range map[string]types.Handshake{
		"height below -1": types.NewHandshake(-2),
		"height above 64": types.NewHandshake(65, b),
		"nil address":     types.NewHandshake(1, b, nil),
		"zero address":    types.NewHandshake(1, session.Address{}),
	} {
		_, err := h.Serialize(json.NewContext())
		require.ErrorContains(t, err, "failed to encode handshake: ", name)

		_, err = r.GenerateTableFrom(h)
		require.Error(t, err, name)
	}

	_, err := r.GenerateTableFrom(types.NewHandshake(1, a, b, c))
	require.ErrorContains(t, err, "more addresses than the limit of 2")
}

// Promise R3: an overlay bounds a handshake before anything is allocated for its addresses, below
// the limit of the router but never above.
func TestHandshake_MayBeBoundedFurther(t *testing.T) {
	data, err := types.NewHandshake(1, a, b, c).Serialize(json.NewContext())
	require.NoError(t, err)

	factory := tree.NewRouter(session.AddressFactory{}, tree.WithMaxAddresses(3)).GetHandshakeFactory()
	bounded := factory.(router.BoundedHandshakeFactory)

	_, err = bounded.HandshakeOfAtMost(json.NewContext(), data, 3)
	require.NoError(t, err)

	_, err = bounded.HandshakeOfAtMost(json.NewContext(), data, 2)
	require.ErrorContains(t, err, "more addresses than the limit of 2")

	factory = tree.NewRouter(session.AddressFactory{}, tree.WithMaxAddresses(2)).GetHandshakeFactory()
	_, err = factory.(router.BoundedHandshakeFactory).HandshakeOfAtMost(json.NewContext(), data, 1000)
	require.ErrorContains(t, err, "more addresses than the limit of 2")
}

// The router makes these handshakes, and takes those that others have made.
func TestHandshake_IsThatOfTheRouter(t *testing.T) {
	r := tree.NewRouter(session.AddressFactory{})

	table, err := r.GenerateTableFrom(types.NewHandshake(0, b, c))
	require.NoError(t, err)

	routes, voids := table.Forward(types.NewPacket(a, []byte("hello"), a, b, c, nil))
	require.Len(t, voids, 1)
	require.Len(t, routes, 3)
	require.Equal(t, []mino.Address{a}, routes[nil].GetDestination())

	for _, addr := range []mino.Address{b, c} {
		require.Equal(t, []mino.Address{addr}, routes[addr].GetDestination())
		require.Empty(t, table.PrepareHandshakeFor(addr).(types.Handshake).GetAddresses())
	}

	table, err = r.New(mino.NewAddresses(b), a)
	require.NoError(t, err)
	require.IsType(t, &types.Packet{}, table.Make(a, nil, nil))
	require.IsType(t, types.PacketFactory{}, r.GetPacketFactory())
	require.IsType(t, types.HandshakeFactory{}, r.GetHandshakeFactory())
}

func TestHandshakeFactory_RefusesWhatTheEngineShouldNotReturn(t *testing.T) {
	for _, msg := range []serde.Message{nil, types.NewPacket(a, nil)} {
		types.RegisterHandshakeFormat("test", engine{msg: msg})

		_, err := types.NewHandshakeFactory(session.AddressFactory{}).HandshakeOf(serde.NewContext(testFormat{}), nil)
		require.ErrorContains(t, err, "failed to decode handshake: it is a ")
	}
}
