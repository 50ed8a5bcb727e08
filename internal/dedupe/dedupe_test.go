package dedupe_test

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"testing"

	"github.com/minogrpc/session/internal/dedupe"
	budgets "github.com/minogrpc/session/internal/memory"
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
				memory.Mark("neighbour", "source", origin, sequence)
				marked[sequence] = true
				high = max(high, sequence)
			}
		}
	})
}

// identity returns an origin that differs from those of other numbers.
func identity(n int) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(n))
}

// Promise M2: the senders of a large tree are all remembered.
func TestMemory_ManyHonestSendersAreRemembered(t *testing.T) {
	const senders = 100_000

	var memory dedupe.Memory

	for i := range senders {
		memory.Mark("parent", fmt.Sprint("player ", i), identity(i), 7)
	}

	for i := range senders {
		require.Equal(t, dedupe.Seen, memory.Check(fmt.Sprint("player ", i), identity(i), 7))
	}
}

// Promise M2: a liar with any number of origins, and any number of sources, makes nothing of what
// has come by another neighbour arrive twice, even if it speaks for the same source. The memory
// does not grow without bound.
func TestMemory_LiarCostsNobodyElse(t *testing.T) {
	flood := map[string]func(m *dedupe.Memory, i int){
		"one source":    func(m *dedupe.Memory, i int) { m.Mark("liar", "liar", identity(i), 1) },
		"many sources":  func(m *dedupe.Memory, i int) { m.Mark("liar", fmt.Sprint("invented ", i), identity(i), 1) },
		"honest source": func(m *dedupe.Memory, i int) { m.Mark("liar", "honest", identity(i), 1) },
	}

	for name, lie := range flood {
		t.Run(name, func(t *testing.T) {
			var memory dedupe.Memory

			origin := []byte("origin")
			memory.Mark("parent", "honest", origin, 5)
			memory.Mark("parent", "another", origin, 5)

			for i := range dedupe.MaxSenders + 1000 {
				lie(&memory, i)
			}

			require.LessOrEqual(t, memory.Len(), dedupe.MaxSenders)
			require.Equal(t, dedupe.Seen, memory.Check("honest", origin, 5))
			require.Equal(t, dedupe.Seen, memory.Check("another", origin, 5))
			require.Equal(t, dedupe.Late, memory.Check("honest", origin, 4))
		})
	}
}

// A liar that can speak for one source alone costs nobody whose packets come the same way, and
// takes little memory.
func TestMemory_LiarCostsNoOtherSourceOfTheSameNeighbour(t *testing.T) {
	var memory dedupe.Memory

	origin := []byte("origin")
	memory.Mark("parent", "honest", origin, 5)

	for i := range 100_000 {
		memory.Mark("parent", "liar", identity(i), 1)
	}

	require.LessOrEqual(t, memory.Len(), 1+dedupe.MaxOrigins)
	require.Equal(t, dedupe.Seen, memory.Check("honest", origin, 5))
}

// Promise M3: what the senders cost is counted in the accounts of their neighbours, and a neighbour
// whose account is full costs no other. All of it is given back.
func TestMemory_IsCountedInTheAccountsOfTheNeighbours(t *testing.T) {
	var memory dedupe.Memory

	budget := budgets.NewBudget(1 << 30)
	liar, parent := budget.Part(100<<10), budget.Part(100<<10)
	origin := []byte("origin")

	require.True(t, memory.Hold("parent", parent, "honest", origin))
	memory.Mark("parent", "honest", origin, 5)

	held := 0
	for memory.Hold("liar", liar, fmt.Sprint("invented ", held), origin) {
		held++
	}

	require.InDelta(t, 100, held, 70)
	require.Less(t, 100<<10-liar.Used(), 2<<10)
	require.True(t, memory.Hold("liar", liar, "invented 0", origin), "it is there already")
	require.True(t, memory.Hold("parent", parent, "another", origin))
	require.Equal(t, dedupe.Seen, memory.Check("honest", origin, 5))

	// The sessions of one source have room for a few, and the oldest makes room for the newest.
	for i := range 100 {
		require.True(t, memory.Hold("parent", parent, "another", identity(i)))
	}

	require.LessOrEqual(t, parent.Used(), (dedupe.MaxOrigins+1)<<10)

	memory.Forget()
	require.Zero(t, budget.Used())
	require.Equal(t, dedupe.New, memory.Check("honest", origin, 5))
}

// A sender is known as long as one of the neighbours is not full that have brought its packets.
func TestMemory_SenderOfTwoNeighboursIsForgottenByBoth(t *testing.T) {
	var memory dedupe.Memory

	origin := []byte("origin")
	memory.Mark("p0", "honest", origin, 1)
	memory.Mark("p1", "honest", origin, 2)

	for i := range dedupe.MaxOrigins {
		memory.Mark("p0", "honest", identity(i), 1)
	}

	require.Equal(t, dedupe.Seen, memory.Check("honest", origin, 1))
	require.Equal(t, dedupe.Seen, memory.Check("honest", origin, 2))

	for i := range dedupe.MaxOrigins {
		memory.Mark("p1", "honest", identity(i), 2)
	}

	require.Equal(t, dedupe.New, memory.Check("honest", origin, 1))
}

// A source that is started again and again is known by its newest sessions. The one with the
// newest packet goes last.
func TestMemory_NewestOriginsStay(t *testing.T) {
	var memory dedupe.Memory

	for i := range 3 * dedupe.MaxOrigins {
		memory.Mark("parent", "honest", identity(i), 1)
		memory.Mark("parent", "honest", identity(0), uint64(2+i))
	}

	for i := range 3 * dedupe.MaxOrigins {
		want := dedupe.New
		if i == 0 || i > 2*dedupe.MaxOrigins {
			want = dedupe.Seen
		}

		require.Equal(t, want, memory.Check("honest", identity(i), 1), "origin %d", i)
	}
}

// Promise M2: with any senders and neighbours, the memory says what a map of everything would say,
// as long as nobody has more than there is room for.
func TestMemory_NeighboursAgreeWithAMapOfEverything(t *testing.T) {
	type packet struct {
		source, origin int
		sequence       uint64
	}

	rapid.Check(t, func(t *rapid.T) {
		var memory dedupe.Memory

		marked := make(map[packet]bool)
		number := rapid.IntRange(0, 9)

		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			neighbour := strconv.Itoa(number.Draw(t, "neighbour") % 3)
			p := packet{
				source: number.Draw(t, "source"), origin: number.Draw(t, "origin") % dedupe.MaxOrigins,
				sequence: rapid.Uint64Range(1, 40).Draw(t, "sequence"),
			}
			seen := memory.Check(strconv.Itoa(p.source), identity(p.origin), p.sequence) == dedupe.Seen
			require.Equal(t, marked[p], seen)

			if !seen {
				memory.Mark(neighbour, strconv.Itoa(p.source), identity(p.origin), p.sequence)
				marked[p] = true
			}
		}
	})
}

// Promise S2: who has learned the origin of another sender cannot send in its name.
func TestMemory_SourcesOfOneOriginAreSeparate(t *testing.T) {
	var memory dedupe.Memory

	origin := []byte("origin")
	memory.Mark("neighbour", "liar", origin, 5)

	require.Equal(t, dedupe.New, memory.Check("honest", origin, 5))
	require.Equal(t, dedupe.New, memory.Check("honest", origin, 4))

	memory.Mark("neighbour", "honest", origin, 5)
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
		memory.Mark("neighbour", "source", origin, sequence)
	}))
}
