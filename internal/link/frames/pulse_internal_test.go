package frames

import (
	"testing"
	"time"

	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// Promise L1: where ticks come late, the process lacks the processor, and its neighbour has more time
// before it is to blame for its silence. Where they all come much too late, it is not.
func TestTick_LateOnesBlameNobody(t *testing.T) {
	for name, tc := range map[string]struct {
		late        time.Duration
		least, most time.Duration
	}{
		"on time":       {0, silence, silence},
		"a busy moment": {10 * time.Millisecond, silence, silence + silence/5},
		"little of it":  {50 * time.Millisecond, 3 * silence, 10 * silence},
		"less of it":    {third / lateParts, 9 * silence, 40 * silence},
		"starved":       {third/lateParts + time.Millisecond, 100 * silence, 100 * silence},
	} {
		t.Run(name, func(t *testing.T) {
			m := machineOf(true)
			now, found := still, Beat{Next: m.FirstTick()}

			for !found.Silent && now.Sub(still) < 100*silence {
				now = now.Add(found.Next + tc.late)

				if m.Looking() {
					found = m.Look(now)
				} else {
					found = m.Tick(now)
				}
			}

			require.GreaterOrEqual(t, now.Sub(still), tc.least)
			require.LessOrEqual(t, now.Sub(still), tc.most+third)
		})
	}
}

// Promise P3: a neighbour that gives its signs of life in time costs no more than a tick for each of its
// own.
func TestTick_LooksOnlyAtTheSilent(t *testing.T) {
	m := machineOf(true)
	now, found := still, Beat{Next: m.FirstTick()}

	for range 10 {
		now = now.Add(found.Next)
		m.hear(&ptypes.Packet{}, now.Add(-time.Second))
		found = m.Tick(now)
		require.False(t, m.Looking())
		require.Equal(t, third, found.Next)
	}

	// The next one is overdue.
	found = m.Tick(now.Add(third))
	require.True(t, m.Looking())
	require.Equal(t, lookStep, found.Next)
}
