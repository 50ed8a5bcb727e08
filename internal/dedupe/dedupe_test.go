package dedupe_test

import (
	"encoding/binary"
	"testing"

	"github.com/minogrpc/session/internal/dedupe"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Promise M2: the window says what a map of everything would say, but for what is
// too old.
func TestMemory_AgreesWithAMapOfEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var memory dedupe.Memory

		marked := make(map[uint64]bool)
		high := uint64(0)
		origin := []byte("origin")

		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			// Around the high mark, where the window moves.
			span := rapid.SampledFrom([]uint64{3, 100, dedupe.Window, 3 * dedupe.Window}).Draw(t, "span")
			low := high - min(high, span)
			sequence := rapid.Uint64Range(low, high+span).Draw(t, "sequence")

			want := dedupe.New

			switch {
			case len(marked) > 0 && sequence+dedupe.Window <= high:
				want = dedupe.Stale
			case marked[sequence]:
				want = dedupe.Seen
			case len(marked) > 0 && sequence < high:
				want = dedupe.Late
			}

			require.Equal(t, want, memory.Check(origin, sequence))

			if want <= dedupe.Late && rapid.Bool().Draw(t, "mark") {
				memory.Mark(origin, sequence)
				marked[sequence] = true
				high = max(high, sequence)
			}
		}
	})
}

// Origins do not get in each other's way, and an invented multitude of them makes
// nothing grow without bound.
func TestMemory_OriginsAreSeparateAndBounded(t *testing.T) {
	var memory dedupe.Memory

	first := []byte("first")
	memory.Mark(first, 1)
	require.Equal(t, dedupe.Seen, memory.Check(first, 1))
	require.Equal(t, dedupe.New, memory.Check([]byte("second"), 1))

	flood := func() {
		for i := range 10_000 {
			memory.Mark(binary.BigEndian.AppendUint64(nil, uint64(i)), 1)
		}
	}

	flood()
	require.Equal(t, dedupe.New, memory.Check(first, 1))
	require.Equal(t, dedupe.New, memory.Check(binary.BigEndian.AppendUint64(nil, 0), 1))
	require.Equal(t, dedupe.Seen, memory.Check(binary.BigEndian.AppendUint64(nil, 9_999), 1))
}
