package memory_test

import (
	"strconv"
	"testing"

	"github.com/minogrpc/session/internal/memory"
	"github.com/stretchr/testify/require"
)

// Promise M3: a peer holds its share of a budget and no more, and all peers together the whole.
func TestShares_BoundEachPeerAndAllTogether(t *testing.T) {
	whole := memory.NewBudget(100)
	shares := memory.NewShares(whole, 40)

	a, b, c := shares.Join("a"), shares.Join("b"), shares.Join("c")
	require.Same(t, a, shares.Join("a"))
	require.Equal(t, 40, shares.Limit())

	require.True(t, a.Reserve(40))
	require.False(t, a.Reserve(1), "its share is used up")
	require.True(t, b.Reserve(40))
	require.False(t, c.Reserve(21), "the whole is used up")
	require.Zero(t, c.Used())
	require.True(t, c.Reserve(20))
	require.Equal(t, 100, whole.Used())
	require.False(t, whole.Reserve(1))

	a.Release(40)
	require.Equal(t, 60, whole.Used())
	require.Zero(t, a.Used())
}

// Promise M3: a peer that comes again has the share that it has used before.
func TestShares_LastAsLongAsTheyHoldSomething(t *testing.T) {
	shares := memory.NewShares(memory.NewBudget(1000), 10)

	first := shares.Join("a")
	require.True(t, first.Reserve(10))
	shares.Leave("a")

	for i := range 200 {
		name := strconv.Itoa(i)
		shares.Join(name)
		shares.Leave(name)
	}

	require.False(t, shares.Join("a").Reserve(1))
	shares.Leave("a")
	first.Release(10)

	require.True(t, shares.Join("a").Reserve(10))
}

// Promise S3: names that somebody invents leave nothing behind.
func TestShares_KeepNothingOfThoseWhoAreGone(t *testing.T) {
	shares := memory.NewShares(memory.NewBudget(1_000_000), 10)

	for i := range 10_000 {
		name := strconv.Itoa(i)
		part := shares.Join(name)
		require.True(t, part.Reserve(1))
		shares.Leave(name)
		part.Release(1)
	}

	require.LessOrEqual(t, shares.Len(), 64)
}

func TestShares_NoneIsNoLimit(t *testing.T) {
	var shares *memory.Shares

	require.True(t, shares.Join("a").Reserve(1<<30))
	shares.Leave("a")
}

// Promise M3: what must be told when a budget is used up finds some room, and not any.
func TestBudget_HasSpareRoom(t *testing.T) {
	whole := memory.NewBudget(16 << 20)
	part := whole.Part(8 << 20)

	require.True(t, part.Reserve(8<<20))
	require.False(t, part.Reserve(1))
	require.True(t, part.ReserveSpare(2<<20))
	require.False(t, part.ReserveSpare(1))

	require.True(t, whole.Reserve(6<<20))
	require.True(t, whole.Part(8<<20).ReserveSpare(4<<20))
	require.False(t, whole.Part(8<<20).ReserveSpare(1))

	part.Release(10 << 20)
	require.Equal(t, 10<<20, whole.Used())

	small := memory.NewBudget(10)
	require.True(t, small.Reserve(10))
	require.True(t, small.ReserveSpare(1<<20))
	require.False(t, small.ReserveSpare(1))
}
