package tree_test

import (
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
)

// sourcesOf returns the table of a root with five children, behind each of which are 29
// players.
func sourcesOf(t *testing.T, players []mino.Address) (router.RoutingTable, router.Sources) {
	t.Helper()

	table := newTable(t, newRouter(), players)

	return table, table.(router.Sources)
}

// Promise S2: a source may come through all those through which it has ever been reached,
// one lost behind the other, and through nobody else.
func TestMayCome_FollowsTheLossesDown(t *testing.T) {
	players := addresses(150)
	table, sources := sourcesOf(t, players)
	source := players[29]

	var lost []mino.Address

	for {
		gateway := gatewayOf(table, source)
		require.True(t, sources.MayCome(source, gateway))

		for _, before := range lost {
			require.True(t, sources.MayCome(source, before))
			require.False(t, sources.MayCome(before, gateway))
		}

		if gateway == source {
			break
		}

		require.False(t, sources.MayCome(source, nil))
		require.NoError(t, table.OnFailure(gateway))

		lost = append(lost, gateway)
	}

	require.Len(t, lost, 2)
	require.False(t, sources.MayCome(source, players[30]))
	require.ErrorIs(t, table.OnFailure(source), router.ErrUnreachable)
	require.True(t, sources.MayCome(source, nil), "it may have another parent")
}

// gatewayOf returns the next hop for a destination.
func gatewayOf(table router.RoutingTable, to mino.Address) mino.Address {
	routes, _ := table.Forward(table.Make(to, []mino.Address{to}, nil))
	for gateway := range routes {
		return gateway
	}

	return nil
}

// Promise S2: what is no player is nobody's source, whatever it looks like.
func TestMayCome_GoesByTheText(t *testing.T) {
	players := addresses(150)
	_, sources := sourcesOf(t, players)
	child := players[0].(session.Address)

	require.True(t, sources.MayCome(unhashable{"FB127.0.0.1:2000"}, unhashable{"FB127.0.0.1:2000"}))
	require.False(t, sources.MayCome(session.NewOrchestratorAddress(child), child))
	require.True(t, sources.MayCome(session.NewOrchestratorAddress(child), nil))

	for _, bad := range []mino.Address{nil, failingAddress{}, unhashable{""}} {
		require.False(t, sources.MayCome(bad, child))
		require.False(t, sources.MayCome(bad, nil))
	}

	require.False(t, sources.MayCome(child, failingAddress{}))
	require.False(t, sources.MayCome(child, players[1]), "it is behind the child, and no neighbour")
}

func TestMayCome_TakesNoMemory(t *testing.T) {
	players := addresses(150)
	_, sources := sourcesOf(t, players)

	require.Zero(t, testing.AllocsPerRun(100, func() {
		sources.MayCome(players[29], players[0])
		sources.MayCome(players[29], nil)
	}))
}
