package main

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// The figures of one tiny round mean nothing, but each has to come about.
func TestMeasurements_FillTheTable(t *testing.T) {
	tiny := plan{rounds: 1, inFlight: 2, players: 8}

	for _, m := range measurements() {
		t.Run(m.name, func(t *testing.T) {
			var printed strings.Builder

			out := &table{out: &printed}
			require.NoError(t, m.run(tiny, out))
			require.NotEmpty(t, out.rows)

			for _, row := range out.rows {
				require.Len(t, row.samples, tiny.rounds)
				require.Positive(t, row.samples[0], row.what)
				require.False(t, math.IsInf(row.samples[0], 0), row.what)
				require.Contains(t, printed.String(), row.what)
			}
		})
	}
}
