package pending_test

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/minogrpc/session/internal/pending"
	"github.com/stretchr/testify/require"
)

var errLate = errors.New("late")

// Promise O1: each destination is told once, whoever settles how
// often and in whatever order, and however often it was named.
func TestSet_EachIsToldOnce(t *testing.T) {
	for n := 1; n < 20; n++ {
		keys := slices.Repeat(destinations(n), 2)
		told := make(map[string]int)

		set := pending.New(keys, pending.Func(func(i, left int, _ error) {
			told[keys[i]]++
			require.Equal(t, n-len(told), left)
		}))

		var settlers sync.WaitGroup
		for range 10 {
			settlers.Go(func() {
				for _, key := range append(slices.Clone(keys), "stranger") {
					set.Settle(key, errLate)
				}
			})
		}

		settlers.Wait()
		require.Len(t, told, n)

		for _, key := range keys {
			require.Equal(t, 1, told[key])
		}
	}
}

// Promise O3: what is not pending has no effect.
func TestSet_FirstOutcomeCounts(t *testing.T) {
	for _, n := range []int{1, 2, 20} {
		var got []error

		keys := destinations(n)
		set := pending.New(keys, pending.Func(func(i, left int, err error) {
			require.Equal(t, []int{n - 1, n - 1}, []int{i, left})

			got = append(got, err)
		}))

		require.False(t, set.Settle("stranger", nil))
		require.True(t, set.Settle(keys[n-1], nil))
		require.False(t, set.Settle(keys[n-1], errLate))
		require.Equal(t, []error{nil}, got)
	}
}

// A packet to one destination, as most are, costs the set itself and nothing else.
func TestSet_OneDestinationIsOneAllocation(t *testing.T) {
	keys := destinations(1)
	told := func(int, int, error) {}

	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		pending.New(keys, pending.Func(told)).Settle(keys[0], nil)
	}), 1.0)
}

// BenchmarkSet is what the account of a packet costs.
func BenchmarkSet(b *testing.B) {
	for _, n := range []int{1, 8, 9, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			keys := destinations(n)
			told := func(int, int, error) {}

			b.ReportAllocs()

			for b.Loop() {
				set := pending.New(keys, pending.Func(told))
				for _, key := range keys {
					set.Settle(key, nil)
				}
			}
		})
	}
}

// destinations returns as many address texts.
func destinations(n int) []string {
	keys := make([]string, n)
	for i := range n {
		keys[i] = "FBhost:" + strconv.Itoa(i)
	}

	return keys
}
