package protocol_test

import (
	"errors"
	"iter"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/protocol"
	"github.com/stretchr/testify/require"
)

// gathered yields a result for each value, an error for a negative one, and counts what it yields.
func gathered(yielded *int, values ...int) iter.Seq2[mino.Address, protocol.Result[int]] {
	addr := session.NewAddress("grpc://a:1")

	return func(yield func(mino.Address, protocol.Result[int]) bool) {
		for i, n := range values {
			r := protocol.Result[int]{From: addr, Value: n, Left: len(values) - 1 - i}
			if n < 0 {
				r.Err = &protocol.PlayerError{Player: addr, Reason: protocol.ReasonLost}
			}

			*yielded = i + 1
			if !yield(addr, r) {
				return
			}
		}
	}
}

// even is what a good answer is.
func even(_ mino.Address, n int) error {
	if n%2 != 0 {
		return errors.New("odd")
	}

	return nil
}

func TestQuorum_EndsWhenItIsDecided(t *testing.T) {
	for name, tt := range map[string]struct {
		values  []int
		k       int
		good    []int
		yielded int
		want    string
	}{
		"enough":      {[]int{2, -1, 3, 4, 6}, 2, []int{2, 4}, 4, ""},
		"just enough": {[]int{2, 4}, 2, []int{2, 4}, 2, ""},
		"cannot be reached": {[]int{-1, 3, 2, 4}, 3, []int{}, 2,
			"a quorum of 3 is out of reach: 0 good so far, 2 failed\ngrpc://a:1: lost\ngrpc://a:1: bad answer: odd"},
		"more than there are": {[]int{2, 4}, 4, []int{2}, 1, "a quorum of 4 is out of reach: 1 good so far, 0 failed"},
		"nobody":              {nil, 1, []int{}, 0, "a quorum of 1 is out of reach: 0 good so far, 0 failed"},
		"none":                {[]int{2}, 0, []int{}, 0, "a quorum needs at least one answer"},
	} {
		yielded := 0
		good, err := protocol.Quorum(gathered(&yielded, tt.values...), tt.k, even)

		values := make([]int, 0, len(good))
		for _, r := range good {
			values = append(values, r.Value)
		}

		require.Equal(t, tt.good, values, name)
		require.Equal(t, tt.yielded, yielded, name)

		if tt.want == "" {
			require.NoError(t, err, name)
		} else {
			require.EqualError(t, err, tt.want, name)
		}
	}
}

func TestQuorum_ErrorHasTheReasonOfEachPlayer(t *testing.T) {
	yielded := 0
	_, err := protocol.Quorum(gathered(&yielded, 1, -1), 2, nil)

	var short *protocol.QuorumError
	require.ErrorAs(t, err, &short)
	require.Equal(t, 2, short.Want)
	require.Equal(t, 1, short.Got)
	require.Len(t, short.Players, 1)
	require.Equal(t, protocol.ReasonLost, short.Players[0].Reason)

	var why *protocol.PlayerError
	require.ErrorAs(t, err, &why)
}
