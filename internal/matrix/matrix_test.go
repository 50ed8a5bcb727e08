package matrix_test

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

var allFlag = flag.Bool("all", false, "play every case, and not only one for each pair of choices")

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// What is promised of a mixture, in every case. The parts that kill somebody need a network
// of their own.
func TestMatrix(t *testing.T) {
	cases := mixtures()
	if !*allFlag {
		cases = pairwise(cases)
	}

	for _, m := range cases {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()

			w := newNetwork(t, m)

			t.Run("broadcast", w.testBroadcast)
			t.Run("sideways", w.testSideways)
			t.Run("down in order", w.testDown)
			t.Run("up in order", w.testUp)
			t.Run("large", w.testLarge)
			t.Run("call", w.testCall)
			t.Run("unknown", w.testUnknown)
			t.Run("many streams", w.testManyStreams)
			w.requireNoOddities(t)

			for _, p := range []place{atLeaf, atInterior} {
				if w.find(p) >= 0 {
					t.Run("killed "+string(p), func(t *testing.T) { newNetwork(t, m).testKilled(t, p) })
				}
			}
		})
	}
}

// Promises O1, L10.
func (w *network) testBroadcast(t *testing.T) {
	s, cancel := w.open(t)
	requireEchoes(t, s, "one", w.addresses())
	requireEchoes(t, s, "two", w.addresses())
	cancel()
}

// Promise O1: everybody sends to everybody, and itself.
func (w *network) testSideways(t *testing.T) {
	s, cancel := w.open(t)
	requireEchoes(t, s, "begin", w.addresses())

	var senders sync.WaitGroup

	for _, from := range w.addresses() {
		p := w.newest(t, from)

		senders.Go(func() { assert.Empty(t, p.send(fmt.Sprintf("from %s.", from), w.addresses()...)) })
	}

	senders.Wait()

	for _, from := range w.addresses() {
		for _, to := range w.addresses() {
			w.requireGot(t, to, fmt.Sprintf("from %s.", from))
		}
	}

	cancel()
}

// Promise M2: what is awaited arrives in order, and once.
func (w *network) testDown(t *testing.T) {
	const count = 1000

	s, cancel := w.open(t)
	to := w.addresses()[max(w.find(atLeaf), 0)]

	for i := range count {
		require.Empty(t, s.send(fmt.Sprintf("down %d", i), to))
	}

	w.await(t, patience, "all should have come", func() bool { return len(w.gotLocked(to, "down ")) >= count })

	for i, r := range w.got(to, "down ") {
		require.Equal(t, fmt.Sprintf("down %d", i), r.msg)
	}

	cancel()
}

// Promise M2, the other way.
func (w *network) testUp(t *testing.T) {
	const count = 300

	s, cancel := w.open(t)
	from := w.addresses()[max(w.find(atLeaf), 0)]
	requireEchoes(t, s, "begin", []text{from})

	p := w.newest(t, from)

	var sending sync.WaitGroup

	sending.Go(func() {
		for i := range count {
			assert.Empty(t, p.send(fmt.Sprintf("up %d", i), w.origin.address().orchestrator()))
		}
	})

	for i := range count {
		_, msg := receive(t, s)
		require.Equal(t, fmt.Sprintf("up %d", i), msg)
	}

	sending.Wait()
	cancel()
}

func (w *network) testLarge(t *testing.T) {
	s, cancel := w.open(t)
	requireEchoes(t, s, strings.Repeat("x", 1<<20), w.addresses())
	cancel()
}

func (w *network) testCall(t *testing.T) {
	for _, n := range w.players {
		answer, err := w.origin.call(t.Context(), "question", n.address())
		require.NoError(t, err)
		require.Equal(t, "question", answer)

		answer, err = n.call(t.Context(), "back", w.origin.address())
		require.NoError(t, err)
		require.Equal(t, "back", answer)
	}
}

// perUnknown is more than the packets that one message for nobody costs, sent and received:
// up to the root and no further.
const perUnknown = 10

// Promise R1: somebody who takes no part is reported, whoever asks, and costs nothing else.
func (w *network) testUnknown(t *testing.T) {
	stranger := text("F") + w.origin.address()[1:2] + "stranger:1"
	w.names.all = append(w.names.all, stranger)

	s, cancel := w.open(t)
	requireEchoes(t, s, "begin", w.addresses())

	before := w.packets()
	last := w.addresses()[len(w.players)-1]

	requireOnly(t, s.send("from above", last, stranger), stranger)
	w.requireGot(t, last, "from above")

	for _, from := range w.addresses() {
		requireOnly(t, w.newest(t, from).send("unknown", stranger), stranger)
	}

	// What circulates is sent again and again, until the hop limit at least.
	require.Less(t, w.packets()-before, perUnknown*(len(w.players)+2))
	cancel()
}

// Promise O1, of streams that know nothing of each other.
func (w *network) testManyStreams(t *testing.T) {
	const (
		count  = 20
		rounds = 5
	)

	w.clear()

	var all sync.WaitGroup

	for i := range count {
		s, cancel := w.openOne(t)

		all.Go(func() {
			for round := range rounds {
				question := fmt.Sprintf("%d in %d", round, i)
				if !assert.Empty(t, s.send(echoPrefix+question, w.addresses()...)) {
					return
				}

				for range w.players {
					_, msg, err := s.recv(t.Context())
					if !assert.Equal(t, echoPrefix+question, msg, "%v", err) {
						return
					}
				}
			}

			cancel()
		})
	}

	all.Wait()
	w.awaitEnd(t, handlerPatience)
}

// Promises L3, R2: a player that is killed costs itself, whatever is behind it. Those of our
// kind behind it keep their handlers.
func (w *network) testKilled(t *testing.T, p place) {
	s, cancel := w.open(t)
	requireEchoes(t, s, "begin", w.addresses())

	victim := w.players[w.find(p)]
	victim.kill()

	for _, msg := range []string{"first after", "second after"} {
		requireOnly(t, s.send(msg, w.addresses()...), victim.address())

		for _, name := range w.others(victim.address()) {
			w.requireGot(t, name, msg)
		}
	}

	for _, n := range w.players {
		if n == victim {
			continue
		}

		if n.kind() == ours {
			require.Len(t, w.partsOf(n.address()), 1, "%s has a second handler", n.address())
		}

		require.Empty(t, w.newest(t, n.address()).send("alive", w.origin.address().orchestrator()))
		receive(t, s)
	}

	cancel()
	w.requireNoOddities(t)
}
