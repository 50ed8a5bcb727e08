package frames

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Promise L1: where every tick comes late, the process lacks the processor, and the neighbour is not
// to blame for its silence. Ticks that are on time find it.
func TestTick_LateOnesBlameNobody(t *testing.T) {
	for name, tc := range map[string]struct {
		late   time.Duration
		silent bool
	}{
		"on time":       {0, true},
		"a busy moment": {third / lateParts, true},
		"starved":       {third/lateParts + time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := machineOf(true)
			now, next := still, m.FirstTick()
			silent := false

			for range 10 {
				now = now.Add(next + tc.late)
				found := m.Tick(now)
				silent = silent || found.Silent
				next = found.Next
			}

			require.Equal(t, tc.silent, silent)
		})
	}
}
