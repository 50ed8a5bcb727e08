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

			require.Equal(t, want, memory.Check("source", origin, sequence))

			if want <= dedupe.Late && rapid.Bool().Draw(t, "mark") {
				memory.Mark("source", origin, sequence)
				marked[sequence] = true
				high = max(high, sequence)
			}
		}
	})
}

// Senders do not get in each other's way, and an invented multitude of them makes
// nothing grow without bound.
func TestMemory_SendersAreSeparateAndBounded(t *testing.T) {
	var memory dedupe.Memory

	first := []byte("first")
	memory.Mark("source", first, 1)
	require.Equal(t, dedupe.Seen, memory.Check("source", first, 1))
	require.Equal(t, dedupe.New, memory.Check("source", []byte("second"), 1))

	flood := func() {
		for i := range 10_000 {
			memory.Mark("source", binary.BigEndian.AppendUint64(nil, uint64(i)), 1)
		}
	}

	flood()
	require.Equal(t, dedupe.New, memory.Check("source", first, 1))
	require.Equal(t, dedupe.New, memory.Check("source", binary.BigEndian.AppendUint64(nil, 0), 1))
	require.Equal(t, dedupe.Seen, memory.Check("source", binary.BigEndian.AppendUint64(nil, 9_999), 1))
}

// Promise S2: who has learned the origin of another sender cannot send in its name.
func TestMemory_SourcesOfOneOriginAreSeparate(t *testing.T) {
	var memory dedupe.Memory

	origin := []byte("origin")
	memory.Mark("liar", origin, 5)

	require.Equal(t, dedupe.New, memory.Check("honest", origin, 5))
	require.Equal(t, dedupe.New, memory.Check("honest", origin, 4))

	memory.Mark("honest", origin, 5)
	require.Equal(t, dedupe.Seen, memory.Check("honest", origin, 5))
	require.Equal(t, dedupe.Late, memory.Check("liar", origin, 4))
}

// What is looked at for each packet takes no memory.
func TestMemory_KnownSenderTakesNoMemory(t *testing.T) {
	var memory dedupe.Memory

	origin, sequence := []byte("0123456789abcdef"), uint64(0)

	require.Zero(t, testing.AllocsPerRun(100, func() {
		sequence++
		memory.Check("source", origin, sequence)
		memory.Mark("source", origin, sequence)
	}))
}
