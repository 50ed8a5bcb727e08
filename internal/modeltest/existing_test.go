package modeltest_test

import (
	"context"
	"fmt"
	"net"
	"slices"

	"github.com/minogrpc/session/internal/existing"
	"github.com/minogrpc/session/internal/existing/mimic"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"pgregory.net/rapid"
)

// This file has the existing nodes of a case, and what the model cannot promise because of
// them: all that is no promise of this library but a way of theirs.

// drawExisting draws which nodes are existing ones: in a quarter of the cases, about half of
// them.
func (sc *scenario) drawExisting(t *rapid.T) {
	sc.existing = make([]bool, sc.nodes)

	if rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, "with existing nodes") {
		for i := range sc.existing {
			sc.existing[i] = rapid.Bool().Draw(t, "existing")
		}
	}

	// A small queue makes destinations refuse, which existing nodes tell in words that are
	// no proof of anything.
	if sc.mixed() {
		sc.queue = 0
	}
}

// mixed tells whether there are existing nodes.
func (sc *scenario) mixed() bool {
	return slices.Contains(sc.existing, true)
}

// isExisting tells whether a place is on an existing node.
func (sc *scenario) isExisting(p place) bool {
	return sc.existing[p.node()]
}

// hasExisting tells whether a message between two places depends on an existing node.
func (sc *scenario) hasExisting(from, to place) bool {
	for node := range sc.tree.path(from, to) {
		if sc.existing[node] {
			return true
		}
	}

	return false
}

// isUnanswered tells whether a place gets packets that nobody answers: those to the
// orchestrator go over the stream, if it or the root is an existing node. So there may be
// trouble on the way after the outcome.
func (sc *scenario) isUnanswered(p place) bool {
	return p == orchestrator && (sc.isExisting(sc.players[0]) || sc.isExisting(orchestrator))
}

// mayBeLostLocked tells whether a message may be lost that has been told delivered.
func (w *world) mayBeLostLocked(m *message, p place) bool {
	return w.isUnanswered(p) && w.disturbedLocked(m.sender.place, p, w.moment+1)
}

// isDeadly tells whether a node that stops costs more than itself: when its parent, which
// has to adopt what is behind it, is an existing one, or when an existing one is behind it,
// whose session ends at once, and with it the streams to its own children.
func (sc *scenario) isDeadly(node int, from, to place) bool {
	dead := place(node)

	if parent, found := sc.tree[dead]; found && sc.isExisting(parent) {
		return true
	}

	for other := range sc.tree.path(from, to) {
		if sc.existing[other] && other != node && sc.isBehind(place(other), dead) {
			return true
		}
	}

	return false
}

// isBehind tells whether a place is below another one in the tree.
func (sc *scenario) isBehind(p, above place) bool {
	for p != orchestrator {
		parent, found := sc.tree[p]
		if !found {
			return false
		}

		if parent == above {
			return true
		}

		p = parent
	}

	return false
}

// forgottenLocked tells whether an existing node on the way has had trouble with anybody
// behind it. It gives up a child for good, and finds another way, which may depend on any
// of the others.
func (w *world) forgottenLocked(from, to place, before int) bool {
	path := w.tree.path(from, to)

	for _, f := range w.faults {
		if f.moment >= before || f.kind == slow {
			continue
		}

		for node := range path {
			e := place(node)
			if w.existing[node] && w.isIn(f.a, e) && w.isIn(f.b, e) {
				return true
			}
		}
	}

	return false
}

// isIn tells whether a node is another one, or behind it.
func (sc *scenario) isIn(node int, above place) bool {
	return place(node) == above || sc.isBehind(place(node), above)
}

// heldUpLocked tells whether the outcome for a place may wait for that of another destination
// of the same message: an existing node on both ways answers when it knows all.
func (w *world) heldUpLocked(m *message, p place) bool {
	path := w.tree.path(m.sender.place, p)

	for _, other := range m.to {
		if other == p || !w.takesPart(other) || !w.delayedLocked(m.sender.place, other, m.end) {
			continue
		}

		for node := range w.tree.path(m.sender.place, other) {
			if path[node] && w.existing[node] {
				return true
			}
		}
	}

	return false
}

// mayRepeatLocked tells whether a message may arrive twice: after an ambiguous failure an
// existing node on the way does not know the copies for the same message.
func (w *world) mayRepeatLocked(m *message, p place) bool {
	return w.hasExisting(m.sender.place, p) && w.disturbedLocked(m.sender.place, p, w.moment+1)
}

// model returns the address of a node as existing ones have it.
func (w *world) model(i int) existing.Address {
	text, err := w.address(place(i)).MarshalText()
	if err != nil {
		panic(err)
	}

	return existing.Address(text)
}

// startExisting makes an existing node.
func (w *world) startExisting(i int, listener net.Listener) opener {
	// A node that is started again is the one that it was.
	if w.tls && w.certificates[i] == nil {
		cert, err := existing.NewCertificate(fmt.Sprintf("n%d", i))
		if err != nil {
			panic(err)
		}

		w.certificates[i] = cert

		if err = w.known.Store(w.address(place(i)), cert.Certificate[0]); err != nil {
			panic(err)
		}

		w.theirs.Put(w.model(i), cert.Certificate[0])
	}

	node, err := existing.Start(existing.Config{
		Listener: listener, Host: host(i), Dial: w.network.Dialer(host(i)),
		Certificate: w.certificates[i], Store: w.theirs, Height: w.height,
	})
	if err != nil {
		panic(err)
	}

	node.Handle(rpcName, mimic.Handler(handler{world: w, place: place(i)}, fake.MessageFactory{}))

	w.running[i] = existingNode{node, w}

	return func(ctx context.Context, players mino.Players) (mino.Sender, mino.Receiver, error) {
		return mimic.Open(ctx, node, rpcName, players, fake.MessageFactory{})
	}
}

// existingNode is one that tells what others have done to it.
type existingNode struct {
	*existing.Node

	world *world
}

// Stop ends the node.
func (n existingNode) Stop() error {
	n.Node.Stop()

	for _, oddity := range n.Oddities() {
		n.world.violatedf("%v: %s", n.Address(), oddity)
	}

	return nil
}
