package paired_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/minogrpc/session/internal/bench/paired"
	"github.com/stretchr/testify/require"
)

func TestCompare_TakesTurns(t *testing.T) {
	var turns []string

	side := func(name string) paired.Side {
		return paired.Side{Name: name, Least: 3, Run: func(n int) error {
			turns = append(turns, name)
			require.Equal(t, 3, n)

			return nil
		}}
	}

	times, err := paired.Plan{Rounds: 4}.Compare(side("a"), side("b"))
	require.NoError(t, err)
	require.Len(t, times, 2)
	require.Len(t, times[0], 4)
	require.Len(t, times[1], 4)
	require.Equal(t, slices.Repeat([]string{"a", "b"}, 4), turns[len(turns)-8:])
}

func TestCompare_CountsTheTimeOfTheProcessor(t *testing.T) {
	const pause = 100 * time.Millisecond

	times, err := paired.Plan{Rounds: 1, CPU: true}.Compare(paired.Side{Run: func(int) error {
		time.Sleep(pause)

		return nil
	}})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("nobody knows it here")
	}

	require.NoError(t, err)
	require.Less(t, times[0][0], pause.Seconds())
}

func TestCompare_EndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	calls := 0

	_, err := paired.Plan{Rounds: 4, Slice: time.Hour}.Compare(paired.Side{Run: func(int) error {
		calls++

		return broken
	}})
	require.ErrorIs(t, err, broken)
	require.Equal(t, 1, calls)
}

func TestCompare_HasFewRoundsWhenItIsLate(t *testing.T) {
	plan := paired.Plan{Rounds: 15, Until: time.Now().Add(-time.Hour)}

	times, err := plan.Compare(paired.Side{Run: func(int) error { return nil }})
	require.NoError(t, err)
	require.Len(t, times[0], 5)

	plan.Until = time.Now().Add(time.Hour)

	times, err = plan.Compare(paired.Side{Run: func(int) error { return nil }})
	require.NoError(t, err)
	require.Len(t, times[0], 15)
}

func TestSeries_TextIsTheMedianAndTheQuartiles(t *testing.T) {
	s := paired.Series{3, 1, 200, 0.5, 20}
	require.Equal(t, "3.00 (1.00–20.0)", s.Text(paired.Ratio))
	require.Equal(t, "0.300 (0.100–2.00)", s.Over(paired.Series{10, 10, 10, 10, 10}).Text(paired.Ratio))
	require.Equal(t, "200", paired.Ratio(s.Quantile(1)))
	require.InDelta(t, 2, paired.Series{1, 3}.Quantile(0.5), 1e-9)
}
