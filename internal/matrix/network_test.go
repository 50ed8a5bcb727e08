package matrix_test

import (
	"context"
	"slices"
	"testing"

	model "github.com/minogrpc/session/internal/existing"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

// handlerPatience is more than the handlers take to end after a cancel, on a machine so busy that a
// goodbye comes too late and a child waits to be adopted. The promise is 2.5 s, which the
// scenarios check in virtual time.
const handlerPatience = patience

// network is the nodes of one case.
type network struct {
	*book
	mixture

	names names

	// ours and theirs are the stores of the certificates, which the nodes of each kind share.
	ours   certs.Storage
	theirs *model.Store

	// players are in the order in which they are named, and origin is the node of the
	// orchestrator, which may be one of them. all are those of both.
	players []node
	origin  node
	all     []node
}

// nodeConfig is what the nodes of a network have in common.
type nodeConfig struct {
	height  int
	tls     bool
	bounces bool

	// patient is for so many nodes that a busy machine is slow to set up their streams.
	patient bool
}

// newNetwork starts the nodes of a case. They are stopped when the test ends.
func newNetwork(t *testing.T, m mixture) *network {
	t.Helper()

	w := emptyNetwork(m)
	c := nodeConfig{height: m.height, tls: m.tls}

	for _, p := range shape(m.players, m.height) {
		w.players = append(w.players, w.start(t, m.kindAt(p), c))
	}

	if m.place == outside {
		w.origin = w.start(t, m.orchestrator, c)
	} else {
		w.origin = w.players[w.find(m.place)]
	}

	return w
}

func emptyNetwork(m mixture) *network {
	return &network{book: newBook(), mixture: m, ours: certs.NewInMemoryStore(), theirs: model.NewStore()}
}

// start starts a node that all the others know.
func (w *network) start(t *testing.T, k kind, c nodeConfig) node {
	t.Helper()

	start := map[kind]func(nodeConfig) (node, error){
		ours: w.startOurs, existing: w.startExisting, ported: w.startPorted,
	}

	n, err := start[k](c)
	require.NoError(t, err)
	t.Cleanup(n.stop)

	w.all = append(w.all, n)
	w.names.all = append(w.names.all, n.address(), n.address().orchestrator())

	return n
}

// knows lets everybody know a node.
func (w *network) knows(addr text, chain []byte) {
	if chain != nil {
		_ = w.ours.Store(addressOf(addr), chain) // in memory, where it never fails
		w.theirs.Put(model.Address(addr), chain)
	}
}

// find returns the first player at a place, but the last of the leaves, which is behind an
// interior node where there is one. The node of the orchestrator does not count if others
// are there. It returns -1 if nobody is.
func (w *network) find(p place) int {
	places := shape(w.mixture.players, w.height)
	found := -1

	for i, at := range places {
		if at != p || w.origin != nil && w.players[i] == w.origin {
			continue
		}

		if found < 0 || p == atLeaf {
			found = i
		}
	}

	return found
}

func (w *network) addresses() []text {
	addrs := make([]text, len(w.players))
	for i, n := range w.players {
		addrs[i] = n.address()
	}

	return addrs
}

// open opens a stream to the players. The returned function cancels it and checks that all
// handlers end.
func (w *network) open(t *testing.T) (s stream, cancel func()) {
	t.Helper()

	w.clear()

	s, end := w.openOne(t)

	return s, func() {
		t.Helper()

		end()
		w.awaitEnd(t, handlerPatience)
	}
}

// openOne opens one of several streams.
func (w *network) openOne(t *testing.T) (s stream, cancel func()) {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)

	s, err := w.origin.open(ctx, w.addresses())
	require.NoError(t, err)

	return s, cancel
}

// receive returns the next message of a stream.
func receive(t *testing.T, s stream) (text, string) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	from, msg, err := s.recv(ctx)
	require.NoError(t, err)

	return from, msg
}

// requireEchoes sends to the players and waits for each to answer.
func requireEchoes(t *testing.T, s stream, question string, players []text) {
	t.Helper()

	require.Empty(t, s.send(echoPrefix+question, players...))

	waiting := players
	for range players {
		from, msg := receive(t, s)
		require.Equal(t, echoPrefix+question, msg)
		require.Contains(t, waiting, from.follower(), "it has answered twice, or is a stranger")

		waiting = without(waiting, from.follower())
	}
}

// requireGot waits until a node has got a message, once.
func (w *network) requireGot(t *testing.T, name text, msg string) {
	t.Helper()

	w.await(t, patience, string(name)+" should have got "+msg, func() bool { return len(w.gotLocked(name, msg)) > 0 })
	require.Len(t, w.got(name, msg), 1, "%s has got %q more than once", name, msg)
}

// requireOnly checks that a send has failed for one destination, and only for that.
func requireOnly(t *testing.T, failures []failure, about text) {
	t.Helper()

	require.Len(t, failures, 1, "failures: %v", failures)
	require.Equal(t, about, failures[0].about, failures[0].words)
}

// requireNoOddities checks that nobody has done to an existing node what no existing node
// would have done.
func (w *network) requireNoOddities(t *testing.T) {
	t.Helper()

	for _, n := range w.all {
		if e, ok := n.(*existingNode); ok {
			require.Empty(t, e.Oddities(), "%s", e.address())
		}
	}
}

// packets counts those of all nodes.
func (w *network) packets() int {
	sum := 0
	for _, n := range w.all {
		sum += n.packets()
	}

	return sum
}

// others returns the addresses of the players but one.
func (w *network) others(dead text) []text {
	return without(slices.Clone(w.addresses()), dead)
}
