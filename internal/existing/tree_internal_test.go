package existing

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func players(n int) []Address {
	all := make([]Address, n)
	for i := range all {
		all[i] = Address(fmt.Sprintf("FAn%d:1", i))
	}

	return all
}

// depthOf returns how far below a table its lowest player is, and counts the players.
func depthOf(t *testing.T, table *table, count *int) int {
	t.Helper()

	lowest := 0

	for child := range table.behind {
		hs := table.handshakeFor(child)
		*count++
		lowest = max(lowest, 1+depthOf(t, newTable(hs.Height, child, addressesOf(hs.Addresses)), count))
	}

	return lowest
}

// Each player has a place in the tree, within the height.
func TestTable_StaysWithinTheHeight(t *testing.T) {
	for height := 1; height <= 3; height++ {
		for n := range 200 {
			count := 0
			depth := depthOf(t, newTable(height, "", players(n)), &count)

			require.LessOrEqual(t, depth, height, "%d players", n)
			require.Equal(t, n, count)
		}
	}
}

func TestTable_HasFiveBranchesAndCountsDuplicatesOnce(t *testing.T) {
	all := players(11)
	table := newTable(2, all[0], append(all, all...))

	require.Len(t, table.behind, 5)
	require.Equal(t, handshake{Height: 1, Addresses: [][]byte{[]byte(all[2])}}, table.handshakeFor(all[1]))
}

// Leaves get the height 0, and with players behind a table that has no height left, -1.
func TestTable_SendsTheHeightsOfExistingParents(t *testing.T) {
	all := players(2)

	require.Zero(t, newTable(1, "", all).handshakeFor(all[0]).Height)
	require.Equal(t, -1, newTable(0, "", all).handshakeFor(all[0]).Height)
	require.Equal(t, -1, newTable(-1, "", all).handshakeFor(all[0]).Height)
}

func TestTable_ForwardsDownUpAndNowhere(t *testing.T) {
	all := players(10)
	root := newTable(2, "", all)
	root.orchestrator = "OAn:1"

	routes, voids := root.forward([]Address{all[0], all[1], "OAn:1", "FAstranger:1"})
	require.Equal(t, map[Address][]Address{all[0]: {all[0], all[1]}, "": {"OAn:1"}}, routes)
	require.Equal(t, map[Address]string{"FAstranger:1": "unknown destination"}, voids)

	// Who is not the root leaves it to the parent.
	routes, voids = newTable(2, "", all).forward([]Address{"FAstranger:1"})
	require.Equal(t, map[Address][]Address{"": {"FAstranger:1"}}, routes)
	require.Empty(t, voids)

	root.bounces = true
	routes, _ = root.forward([]Address{"FAstranger:1"})
	require.Equal(t, map[Address][]Address{"": {"FAstranger:1"}}, routes)
}

func TestTable_FailCostsOneChildOnly(t *testing.T) {
	all := players(10)
	table := newTable(2, "", all)

	table.fail(all[0], "dead")
	table.fail(all[0], "dead again")

	routes, voids := table.forward(all[:2])
	require.Equal(t, map[Address][]Address{all[1]: {all[1]}}, routes)
	require.Equal(t, map[Address]string{all[0]: "dead"}, voids)
}
