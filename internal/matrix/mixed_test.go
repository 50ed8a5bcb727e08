package matrix_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// newMixed starts players of which each may be of either kind, and an orchestrator. The seed
// decides.
func newMixed(t *testing.T, seed uint64, n int, orchestrator kind, c nodeConfig) *network {
	t.Helper()

	w := emptyNetwork(mixture{players: n, height: c.height, place: outside})
	random := rand.New(rand.NewPCG(seed, 0))
	w.origin = w.start(t, orchestrator, c)

	for range n {
		k := ours
		if random.IntN(2) == 0 {
			k = existing
		}

		w.players = append(w.players, w.start(t, k, c))
	}

	return w
}

// A tree of three levels, in which neighbours of all kinds meet. In small ones there are
// two.
func TestMixed_DeepTree(t *testing.T) {
	for seed := range uint64(2) {
		for _, k := range []kind{ours, existing} {
			t.Run(fmt.Sprintf("%s in %d", k, seed), func(t *testing.T) {
				w := newMixed(t, seed, 60, k, nodeConfig{height: 3})

				t.Run("broadcast", w.testBroadcast)
				t.Run("sideways", w.testSideways)
				t.Run("unknown", w.testUnknown)
				w.requireNoOddities(t)
			})
		}
	}
}

// Promise L10: an ordinary cancel ends all handlers, through chains of nodes of both kinds.
func TestMixed_CancelEndsChains(t *testing.T) {
	for seed := range uint64(4) {
		for _, k := range []kind{ours, existing} {
			t.Run(fmt.Sprintf("%s in %d", k, seed), func(t *testing.T) {
				w := newMixed(t, seed, 60, k, nodeConfig{height: 3})

				s, cancel := w.open(t)
				requireEchoes(t, s, "begin", w.addresses())
				cancel()
				w.requireOneHandlerEach(t)
			})
		}
	}
}

// requireOneHandlerEach checks that no node has begun its part twice.
func (w *network) requireOneHandlerEach(t *testing.T) {
	t.Helper()

	for _, name := range w.addresses() {
		require.Len(t, w.partsOf(name), 1, "%s", name)
	}
}

// Promise R1: an existing root that sends to the orchestrator whatever it does not know gets
// nothing back from ours. It is the fault of that root that nobody is told.
func TestMixed_NothingCirculatesAboveAFaultyRoot(t *testing.T) {
	w := emptyNetwork(mixture{players: 1, height: 3, place: outside, root: existing})
	w.players = []node{w.start(t, existing, nodeConfig{height: 3, bounces: true})}
	w.origin = w.start(t, ours, nodeConfig{height: 3})

	s, cancel := w.open(t)
	requireEchoes(t, s, "begin", w.addresses())

	before := w.packets()
	s.send("unknown", "FAstranger:1")
	w.newest(t, w.addresses()[0]).send("unknown", "FAstranger:1")

	// What the root has bounced is before the answers to these on the stream.
	requireEchoes(t, s, "end", w.addresses())
	require.Less(t, w.packets()-before, 20)
	cancel()
}

// A large network with TLS, in which nobody proves who it is to our nodes. One store for
// all of a kind keeps it small.
func TestMixed_ThousandPlayers(t *testing.T) {
	kinds := []kind{ours, existing}
	if !*allFlag {
		kinds = kinds[:1]
	}

	for _, k := range kinds {
		t.Run(string(k), func(t *testing.T) {
			w := newMixed(t, 1, manyPlayers, k, nodeConfig{height: 3, tls: true, patient: true})

			s, cancel := w.open(t)
			requireEchoes(t, s, "hello", w.addresses())
			requireEchoes(t, s, "again", w.addresses())
			cancel()
			w.requireOneHandlerEach(t)
			w.requireNoOddities(t)
		})
	}
}
