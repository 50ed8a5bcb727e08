package main

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/minogrpc/session/internal/bench/paired"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// The figures of one tiny round mean nothing, but each has to come about.
func TestMeasurements_FillTheTable(t *testing.T) {
	tiny := plan{Plan: paired.Plan{Rounds: 1}, inFlight: 2, players: 8, large: 4 << 20, burst: 10, modes: allModes}

	for _, m := range slices.Concat(overModes(), once()) {
		t.Run(m.name, func(t *testing.T) {
			var printed strings.Builder

			out := &table{out: &printed}
			require.NoError(t, m.run(tiny, out))
			require.NotEmpty(t, out.rows)

			for _, row := range out.rows {
				require.Contains(t, printed.String(), row.what)
				require.NotEmpty(t, row.cells[0], row.what)

				for _, figure := range slices.Concat(row.cells...) {
					require.Positive(t, figure, row.what)
					require.False(t, math.IsInf(figure, 0), row.what)
				}
			}
		})
	}
}

func TestParse_TakesSomeOfTheModes(t *testing.T) {
	s, err := parse([]string{"-mode", "mixed,duplex"})
	require.NoError(t, err)
	require.Equal(t, []mode{mixed, duplex}, s.modes)

	_, err = parse([]string{"-mode", "semaphore"})
	require.ErrorContains(t, err, "semaphore")
}
