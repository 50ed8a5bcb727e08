package tree

import (
	"strconv"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router/internal/message"
	"github.com/stretchr/testify/require"
)

// Promise R2: the tree respects its height for every number of players, and each
// has exactly one place in it. The shape is computed here without any table: it
// depends on nothing but the numbers. TestTree_ReachesEveryPlayer builds the tables.
func TestShape_HeightIsRespectedForEveryNumberOfPlayers(t *testing.T) {
	for height := 1; height <= 5; height++ {
		for n := 1; n <= 1000; n++ {
			count, depth := measure(height, message.Players{
				Addrs: make([]mino.Address, n),
				Texts: make([]string, n),
			})

			require.Equal(t, n, count, "height %d", height)
			require.LessOrEqual(t, depth, height, "%d players", n)
		}
	}
}

// measure returns the number of places below a node, and how deep they go.
func measure(height int, list message.Players) (count, depth int) {
	for part := range split(max(height, 1), list) {
		below, deep := measure(height-1, part.Slice(1, part.Len()))
		count += 1 + below
		depth = max(depth, 1+deep)
	}

	return count, depth
}

func TestShape_PartsAreContiguousAndEven(t *testing.T) {
	for height := 1; height <= 5; height++ {
		for n := 1; n <= 200; n++ {
			next, sizes := 0, map[int]bool{}

			for part := range split(height, numbered(n)) {
				sizes[part.Len()] = true

				for _, text := range part.Texts {
					require.Equal(t, strconv.Itoa(next), text)
					next++
				}
			}

			require.Equal(t, n, next)
			require.LessOrEqual(t, len(sizes), 2)
		}
	}
}

func TestShape_BranchesAreAsFewAsTheHeightAllows(t *testing.T) {
	tests := []struct{ height, n, branches int }{
		{1, 0, 0},
		{3, 1, 1},
		{3, 4, 4},
		{3, 5, 5},
		{3, 155, 5}, // 5 + 25 + 125
		{3, 156, 6},
		{3, 258, 6}, // 6 + 36 + 216
		{3, 259, 7},
		{1, 1000, 1000},
		{2, 30, 5},
		{2, 31, 6},
		{64, 1_000_000, 5},
		{1, 46_341, 46_341},
		{1, 1_000_000, 1_000_000},
		{2, 100_000, 316}, // 316 + 99,856
		{2, 100_173, 317},
		{2, 1_000_000, 1000}, // 999 + 998,001 is short of it
		{3, 1_000_000, 100},  // 99 + 9,801 + 970,299 is short of it
	}

	for _, tt := range tests {
		require.Equal(t, tt.branches, branches(tt.height, tt.n), "height %d, %d players", tt.height, tt.n)
	}
}

// Promise R3: a handshake may name up to 1,000,000 players with a height of 1. The
// product of two such numbers does not fit into an int of 32 bits, so that this test has
// its say where an int is that small.
func TestShape_LargePartsAreContiguousAndEven(t *testing.T) {
	tests := []struct{ height, n, parts, least, most int }{
		{1, 46_340, 46_340, 1, 1}, // the last whose square fits
		{1, 46_341, 46_341, 1, 1},
		{1, 47_000, 47_000, 1, 1},
		{1, 1_000_000, 1_000_000, 1, 1},
		{2, 100_000, 316, 316, 317},
		{2, 1_000_000, 1000, 1000, 1000},
		{3, 1_000_000, 100, 10_000, 10_000},
		{64, 1_000_000, 5, 200_000, 200_000},
	}

	for _, tt := range tests {
		list := message.Players{Addrs: make([]mino.Address, tt.n), Texts: make([]string, tt.n)}
		parts, next, least, most := 0, 0, tt.n, 0

		for part := range split(tt.height, list) {
			require.Same(t, &list.Texts[next], &part.Texts[0], "%+v", tt)

			parts, next = parts+1, next+part.Len()
			least, most = min(least, part.Len()), max(most, part.Len())
		}

		require.Equal(t, tt.n, next, "%+v", tt)
		require.Equal(t, tt.parts, parts, "%+v", tt)
		require.Equal(t, []int{tt.least, tt.most}, []int{least, most}, "%+v", tt)
	}
}

// numbered returns n players whose texts are their indices.
func numbered(n int) message.Players {
	var list message.Players
	for i := range n {
		list = list.With(nil, strconv.Itoa(i))
	}

	return list
}
