package pending_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

var errLate = errors.New("late")

// Promise O1: each destination is told once, and then the end, whoever settles how
// often and in whatever order.
func TestSet_EachOnceThenDone(t *testing.T) {
	keys := []string{"a", "b", "c", "d"}
	dests := make(map[string]mino.Address)

	for _, key := range keys {
		dests[key] = nil
	}

	told, ended := 0, 0
	set := pending.New(dests, func(mino.Address, error) {
		require.Zero(t, ended)

		told++
	}, func() { ended++ })

	var settlers sync.WaitGroup
	for range 10 {
		settlers.Go(func() {
			for _, key := range append(keys, "stranger") {
				set.Settle(key, errLate)
			}
		})
	}

	settlers.Wait()
	require.Equal(t, len(keys), told)
	require.Equal(t, 1, ended)
	require.False(t, set.Settle("a", nil))
}

// Promise O3: what is not pending has no effect.
func TestSet_FirstOutcomeCounts(t *testing.T) {
	var got []error

	set := pending.New(map[string]mino.Address{"a": nil}, func(_ mino.Address, err error) {
		got = append(got, err)
	}, func() {})

	require.False(t, set.Settle("b", nil))
	require.True(t, set.Settle("a", nil))
	require.False(t, set.Settle("a", errLate))
	require.Equal(t, []error{nil}, got)
}

// An empty set is done at once.
func TestSet_EmptyIsDone(t *testing.T) {
	done := false

	pending.New(nil, nil, func() { done = true })
	require.True(t, done)
}
