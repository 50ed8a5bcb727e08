package pending_test

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

var errLate = errors.New("late")

// Promise O1: each destination is told once, and then the end, whoever settles how
// often and in whatever order, and however often it was named.
func TestSet_EachOnceThenDone(t *testing.T) {
	for n := 1; n < 20; n++ {
		keys, dests := destinations(n)
		told := make(map[mino.Address]int)
		ended := 0

		set := pending.Of(slices.Repeat(keys, 2), slices.Repeat(dests, 2), func(dest mino.Address, _ error) {
			require.Zero(t, ended)

			told[dest]++
		}, func() { ended++ })

		var settlers sync.WaitGroup
		for range 10 {
			settlers.Go(func() {
				for _, key := range append(slices.Clone(keys), "stranger") {
					set.Settle(key, errLate)
				}
			})
		}

		settlers.Wait()
		require.Equal(t, 1, ended)
		require.Len(t, told, n)

		for _, dest := range dests {
			require.Equal(t, 1, told[dest])
		}
	}
}

// Promise O3: what is not pending has no effect.
func TestSet_FirstOutcomeCounts(t *testing.T) {
	for _, n := range []int{1, 2, 20} {
		var got []error

		keys, dests := destinations(n)
		set := pending.Of(keys, dests, func(_ mino.Address, err error) {
			got = append(got, err)
		}, func() {})

		require.False(t, set.Settle("stranger", nil))
		require.True(t, set.Settle(keys[n-1], nil))
		require.False(t, set.Settle(keys[n-1], errLate))
		require.Equal(t, []error{nil}, got)
	}
}

// An empty set is done at once.
func TestSet_EmptyIsDone(t *testing.T) {
	done := false

	pending.Of(nil, nil, nil, func() { done = true })
	require.True(t, done)
}

// A packet to one destination, as most are, costs the set itself and nothing else.
func TestSet_OneDestinationIsOneAllocation(t *testing.T) {
	keys, dests := destinations(1)
	each, done := func(mino.Address, error) {}, func() {}

	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		pending.Of(keys, dests, each, done).Settle(keys[0], nil)
	}), 1.0)
}

// BenchmarkSet is what the account of a packet costs.
func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1, 8, 9, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			keys, dests := destinations(n)
			each, done := func(mino.Address, error) {}, func() {}

			b.ReportAllocs()

			for b.Loop() {
				set := pending.Of(keys, dests, each, done)
				for _, key := range keys {
					set.Settle(key, nil)
				}
			}
		})
	}
}

// address is one that can be told from others.
type address struct {
	mino.Address

	text string
}

// destinations returns as many addresses and their texts.
func destinations(n int) (keys []string, dests []mino.Address) {
	for i := range n {
		keys = append(keys, "FBhost:"+strconv.Itoa(i))
		dests = append(dests, address{text: keys[i]})
	}

	return keys, dests
}
