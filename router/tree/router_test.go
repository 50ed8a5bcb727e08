package tree_test

import (
	"errors"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
)

func TestNewRouter_OptionsOutOfRangeAreIgnored(t *testing.T) {
	r := newRouter(tree.WithHeight(0), tree.WithHeight(65), tree.WithMaxAddresses(0), tree.WithRetryAfter(0))
	table := newTable(t, r, addresses(10))

	require.Equal(t, handshakeText(t, newTable(t, newRouter(), addresses(10)), addresses(1)[0]),
		handshakeText(t, table, addresses(1)[0]))
}

func TestNew_LeavesOutItselfAndDuplicates(t *testing.T) {
	me := session.NewAddress("me:1")
	other := session.NewAddress("other:1")

	table, err := newRouter().New(mino.NewAddresses(other, me, other, me), me)
	require.NoError(t, err)

	routes, _ := table.Forward(table.Make(me, []mino.Address{other}, nil))
	require.Len(t, routes, 1)
	require.Contains(t, routes, mino.Address(other))
	require.Empty(t, table.(router.Subtree).Descendants(other))
}

func TestNew_OwnAddressIsAVoid(t *testing.T) {
	me := session.NewAddress("me:1")

	for _, players := range [][]mino.Address{addresses(3), {me}} {
		table, err := newRouter().New(mino.NewAddresses(players...), me)
		require.NoError(t, err)

		routes, voids := table.Forward(table.Make(me, []mino.Address{me}, nil))
		require.Empty(t, routes)
		require.NotErrorIs(t, voids[me].Error, router.ErrUnreachable)
		require.EqualError(t, voids[me].Error, "the node has no route to itself")
	}
}

// Promise R1: a table of no players belongs to an orchestrator, whose node may be a player
// too. An existing overlay gives such a table the address of that player.
func TestNew_OwnAddressGoesToTheParentWithoutPlayers(t *testing.T) {
	me := session.NewAddress("me:1")

	for _, players := range []mino.Players{nil, mino.NewAddresses()} {
		table, err := newRouter().New(players, me)
		require.NoError(t, err)

		to := append(addresses(2), me)
		routes, voids := table.Forward(table.Make(session.NewOrchestratorAddress(me), to, nil))
		require.Empty(t, voids)
		require.Len(t, routes, 1)
		require.Equal(t, to, routes[nil].GetDestination())
		require.True(t, table.(router.Sources).MayCome(me, nil), "the player answers")
	}
}

// Promise R3: what the players' addresses look like is checked.
func TestNew_RefusesPlayersThatNobodyCanReach(t *testing.T) {
	me := session.NewAddress("me:1")

	for name, addr := range map[string]mino.Address{
		"nil":                     nil,
		"zero":                    session.Address{},
		"no host":                 session.NewAddress(":2000"),
		"unknown connection type": session.AddressFactory{}.FromText([]byte("FZhost:1")),
		"no text":                 failingAddress{},
	} {
		_, err := newRouter().New(mino.NewAddresses(session.NewAddress("ok:1"), addr), me)
		require.ErrorContains(t, err, "player: ", name)
	}

	_, err := newRouter().New(mino.NewAddresses(), failingAddress{})
	require.ErrorContains(t, err, "own address: ")

	_, err = newRouter(tree.WithMaxAddresses(2)).New(mino.NewAddresses(addresses(3)...), me)
	require.EqualError(t, err, "more addresses than the limit of 2")
}

func TestNew_RefusesPlayersThatCannotBeTheKeyOfAMap(t *testing.T) {
	r := tree.NewRouter(unhashableFactory{})

	_, err := r.New(mino.NewAddresses(unhashable{"host"}), nil)
	require.ErrorContains(t, err, "cannot be the key of a map")

	hs := handshakeOf(t, r, `{"Height":1,"Addresses":["aG9zdA=="]}`)
	_, err = r.GenerateTableFrom(hs)
	require.ErrorContains(t, err, "cannot be the key of a map")
}

func TestGenerateTableFrom_RefusesForeignHandshakes(t *testing.T) {
	_, err := newRouter().GenerateTableFrom(nil)
	require.Error(t, err)

	_, err = newRouter().GenerateTableFrom(foreignPacket{})
	require.ErrorContains(t, err, "not one of this router")
}

// failingAddress has no text form.
type failingAddress struct{ session.Address }

func (failingAddress) MarshalText() ([]byte, error)        { return nil, errNoText }
func (failingAddress) AppendText(b []byte) ([]byte, error) { return b, errNoText }

var errNoText = errors.New("no text")

// unhashable is an address that panics as the key of a map. Its text is its name.
type unhashable []string

func (u unhashable) MarshalText() ([]byte, error)               { return []byte(u[0]), nil }
func (u unhashable) String() string                             { return u[0] }
func (u unhashable) Equal(mino.Address) bool                    { return false }
func (u unhashable) ConnectionType() mino.AddressConnectionType { return mino.ACTgRPC }

// unhashableFactory makes them.
type unhashableFactory struct{ serde.Factory }

func (unhashableFactory) FromText(text []byte) mino.Address { return unhashable{string(text)} }
