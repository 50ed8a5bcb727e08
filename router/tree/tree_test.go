package tree_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// addresses returns the addresses of n players.
func addresses(n int) []mino.Address {
	addrs := make([]mino.Address, n)
	for i := range addrs {
		addrs[i] = session.NewAddress(fmt.Sprintf("127.0.0.1:%d", 2000+i))
	}

	return addrs
}

// newRouter returns a router for session addresses.
func newRouter(options ...tree.RouterOption) router.Router {
	return tree.NewRouter(session.AddressFactory{}, options...)
}

// newTable returns the table of a root that is to reach the players.
func newTable(t *testing.T, r router.Router, players []mino.Address) router.RoutingTable {
	t.Helper()

	table, err := r.New(mino.NewAddresses(players...), session.NewAddress("root:1"))
	require.NoError(t, err)

	return table
}

// handshakeOf returns the handshake that the text stands for.
func handshakeOf(t *testing.T, r router.Router, text string) router.Handshake {
	t.Helper()

	hs, err := r.GetHandshakeFactory().HandshakeOf(json.NewContext(), []byte(text))
	require.NoError(t, err)

	return hs
}

// golden returns a file that holds what other nodes see.
func golden(t testing.TB, name string) string {
	t.Helper()

	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "tree", name))
	require.NoError(t, err)

	return string(data)
}

// Promise R2: each player is reached exactly once within the height, also with any
// one node lost.
func TestTree_ReachesEveryPlayerOfASmallTreeWithAnyNodeLost(t *testing.T) {
	players := addresses(41)

	for height := 1; height <= 5; height++ {
		r := newRouter(tree.WithHeight(height))

		for n := 1; n <= 40; n++ {
			for lost := 0; lost <= n; lost++ { // a lost root changes nothing
				depths, err := sessiontest.Depths(r, players[:n+1], players[lost])
				require.NoError(t, err, "height %d, %d players, %d lost", height, n, lost)
				require.LessOrEqual(t, slices.Max(depths), height)
			}
		}
	}
}

// Promise R2: as above for every N up to 200 and every seventh up to 1,000, each
// with one of the heights and one of four cases: nobody lost, or one node of the
// first three levels. The tests of the shape have every pair of N and height.
func TestTree_ReachesEveryPlayerOfALargeTree(t *testing.T) {
	players := addresses(1001)

	for n := 1; n <= 1000; n++ {
		if n > 200 && n%7 != 6 { // 1,000 is among these
			continue
		}

		height := 1 + n%5
		lost := players[min(n, n%4)] // the root counts as nobody

		depths, err := sessiontest.Depths(newRouter(tree.WithHeight(height)), players[:n+1], lost)
		require.NoError(t, err, "height %d, %d players", height, n)
		require.LessOrEqual(t, slices.Max(depths), height)
	}
}

// Promise R2: several losses at once, one below the other, cost only themselves.
func TestTree_CascadingFailuresCostOnlyThemselves(t *testing.T) {
	players := addresses(301)
	lost := []mino.Address{players[1], players[2], players[3], players[61], players[300]}

	depths, err := sessiontest.Depths(newRouter(), players, lost...)

	require.NoError(t, err)
	require.LessOrEqual(t, slices.Max(depths), tree.DefaultHeight)
	require.Equal(t, sessiontest.NotReached, depths[3])
}

func TestTree_NodeHasAtLeastFiveBranches(t *testing.T) {
	table := newTable(t, newRouter(), addresses(30))

	routes, voids := table.Forward(table.Make(session.NewAddress("root:1"), addresses(30), nil))

	require.Len(t, routes, 5)
	require.Empty(t, voids)
}

func TestTree_IsConformant(t *testing.T) {
	for _, height := range []int{1, 2, tree.DefaultHeight, tree.MaxHeight} {
		t.Run(fmt.Sprint("height ", height), func(t *testing.T) {
			sessiontest.TestRouter(t, func(f mino.AddressFactory) router.Router {
				return tree.NewRouter(f, tree.WithHeight(height))
			})
		})
	}
}
