package tree_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

func TestForward_UnknownDestinationGoesToTheParent(t *testing.T) {
	players, stranger := addresses(20), session.NewAddress("stranger:1")
	table := newTable(t, newRouter(), players)

	routes, voids := table.Forward(table.Make(players[0], []mino.Address{players[3], stranger}, nil))

	require.Empty(t, voids)
	require.Len(t, routes, 2)
	require.Equal(t, []mino.Address{stranger}, routes[nil].GetDestination())
}

// An address that the parent would refuse must not take the others with it.
func TestForward_DestinationThatCannotBeSentIsAVoid(t *testing.T) {
	table, err := newRouter().New(nil, nil)
	require.NoError(t, err)

	good, bad := session.NewAddress("good:1"), session.Address{}
	p := table.Make(good, []mino.Address{bad, good, nil}, []byte("hello"))

	_, err = p.Serialize(json.NewContext())
	require.ErrorContains(t, err, "cannot be sent")

	routes, voids := table.Forward(p)
	require.Equal(t, []mino.Address{good}, routes[nil].GetDestination())
	require.Len(t, voids, 2)
	require.Contains(t, voids, nil)
	require.Contains(t, voids, mino.Address(bad))

	_, err = routes[nil].Serialize(json.NewContext())
	require.NoError(t, err)
}

func TestForward_KeyOfAVoidIsHashable(t *testing.T) {
	me := session.NewAddress("me:1")
	table, err := newRouter().New(mino.NewAddresses(me), me)
	require.NoError(t, err)

	_, voids := table.Forward(table.Make(me, []mino.Address{unhashable{"FBme:1"}}, nil))
	require.Contains(t, voids, mino.Address(me))

	self := unhashable{"me"}
	table, err = tree.NewRouter(unhashableFactory{}).New(mino.NewAddresses(self), self)
	require.NoError(t, err)

	_, voids = table.Forward(table.Make(me, []mino.Address{unhashable{"me"}}, nil))
	require.Contains(t, voids, nil)
}

// What is added to a packet later is in no part of it that is already under way.
func TestForward_PartsShareNoDestinations(t *testing.T) {
	table, err := newRouter().New(nil, nil)
	require.NoError(t, err)

	all := addresses(3)
	p := types.NewPacket(all[0], nil, all[0], all[0], all[0]) // with room for others

	routes, _ := table.Forward(p)
	part := routes[nil].(*types.Packet)

	part.Add(all[1])
	p.Add(all[2])
	require.Equal(t, []mino.Address{all[0], all[1]}, part.GetDestination())
	require.Equal(t, []mino.Address{all[0], all[2]}, p.GetDestination())
}

// Promise R2: Forward is linear in the number of destinations. What it asks of the
// addresses is counted with a packet of another kind, where it asks most, and the
// allocations with its own.
func TestForward_IsLinear(t *testing.T) {
	const small, large = 100, 10_000

	steps := func(n int) int {
		calls := 0
		players := make([]mino.Address, n)

		for i, addr := range addresses(n) {
			players[i] = countingAddress{Address: addr, calls: &calls}
		}

		table := newTable(t, newRouter(), players)
		calls = 0
		routes, _ := table.Forward(foreignPacket{dest: players})
		require.NotEmpty(t, routes)

		return calls
	}

	require.Equal(t, small, steps(small))
	require.Equal(t, large, steps(large))

	allocs := func(n int) float64 {
		players := addresses(n)
		table := newTable(t, newRouter(), players)
		p := table.Make(players[0], players, nil)

		return testing.AllocsPerRun(5, func() { table.Forward(p) })
	}

	require.LessOrEqual(t, allocs(large)/large, allocs(small)/small)
}

func TestOnFailure_StrangerIsAnError(t *testing.T) {
	players := addresses(40)
	table := newTable(t, newRouter(), players)

	for _, addr := range []mino.Address{nil, session.NewAddress("stranger:1"), players[1], failingAddress{}} {
		err := table.OnFailure(addr)
		require.ErrorContains(t, err, "not a neighbour")
		require.NotErrorIs(t, err, router.ErrUnreachable)
	}
}

// The nodes behind a lost one keep their own subtrees: they need not be told.
func TestOnFailure_AdoptsTheChildrenWithTheirSubtrees(t *testing.T) {
	r := newRouter()
	players := addresses(150)
	table := newTable(t, r, players)
	lost := players[0]

	below, err := r.GenerateTableFrom(table.PrepareHandshakeFor(lost))
	require.NoError(t, err)

	behind := table.(router.Subtree).Descendants(lost)
	require.Len(t, behind, 29)

	before, _ := below.Forward(below.Make(lost, behind, nil))
	require.NoError(t, table.OnFailure(lost))
	after, _ := table.Forward(table.Make(lost, behind, nil))

	require.Len(t, after, len(before))

	for gateway, part := range before {
		require.Equal(t, part.GetDestination(), after[gateway].GetDestination())
		require.Equal(t, below.PrepareHandshakeFor(gateway), table.PrepareHandshakeFor(gateway))
	}

	require.Empty(t, table.(router.Subtree).Descendants(lost))
}

func TestOnFailure_LostNodeIsTriedAgainAsALeafAfterThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		players := addresses(40)
		table := newTable(t, newRouter(tree.WithRetryAfter(time.Minute)), players)
		lost := players[0]
		p := table.Make(players[39], []mino.Address{lost, players[1]}, nil)

		require.NoError(t, table.OnFailure(lost))

		for range 2 {
			time.Sleep(time.Minute - time.Second)

			routes, voids := table.Forward(p)
			require.Len(t, routes, 1)
			require.ErrorIs(t, voids[lost].Error, router.ErrUnreachable)
			require.ErrorContains(t, voids[lost].Error, "tried again in 1s")

			time.Sleep(time.Second)

			routes, voids = table.Forward(p)
			require.Empty(t, voids)
			require.Equal(t, []mino.Address{lost}, routes[lost].GetDestination())
			require.Equal(t, golden(t, "handshake_stranger.json"), handshakeText(t, table, lost))

			// It is still gone, and nobody is behind it any more.
			require.ErrorIs(t, table.OnFailure(lost), router.ErrUnreachable)
		}
	})
}

func TestOnFailure_LossOfALeafIsUnreachable(t *testing.T) {
	players := addresses(3)
	table := newTable(t, newRouter(), players)

	require.ErrorIs(t, table.OnFailure(players[1]), router.ErrUnreachable)

	routes, voids := table.Forward(table.Make(players[0], players, nil))
	require.Len(t, routes, 2)
	require.ErrorIs(t, voids[players[1]].Error, router.ErrUnreachable)
}

func TestPrepareHandshakeFor_StrangerGetsTheHandshakeOfALeaf(t *testing.T) {
	table := newTable(t, newRouter(), addresses(40))

	require.Equal(t, golden(t, "handshake_stranger.json"), handshakeText(t, table, session.NewAddress("stranger:1")))
	require.Equal(t, golden(t, "handshake_stranger.json"), handshakeText(t, table, nil))
	require.Nil(t, table.(router.Subtree).Descendants(session.NewAddress("stranger:1")))
}

// handshakeText returns the handshake for a neighbour as it goes over the network.
func handshakeText(t *testing.T, table router.RoutingTable, to mino.Address) string {
	t.Helper()

	data, err := table.PrepareHandshakeFor(to).Serialize(json.NewContext())
	require.NoError(t, err)

	return string(data)
}

// countingAddress counts how often its text is asked for.
type countingAddress struct {
	mino.Address

	calls *int
}

func (a countingAddress) MarshalText() ([]byte, error) {
	*a.calls++

	return a.Address.MarshalText()
}

// foreignPacket is a packet that the router did not make.
type foreignPacket struct{ dest []mino.Address }

func (p foreignPacket) GetSource() mino.Address                 { return session.NewAddress("source:1") }
func (p foreignPacket) GetDestination() []mino.Address          { return p.dest }
func (p foreignPacket) GetMessage() []byte                      { return nil }
func (p foreignPacket) Slice(mino.Address) router.Packet        { return nil }
func (p foreignPacket) Serialize(serde.Context) ([]byte, error) { return nil, nil }
