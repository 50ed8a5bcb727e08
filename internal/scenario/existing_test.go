package scenario_test

import (
	"context"
	"net"
	"slices"

	"github.com/minogrpc/session/internal/existing"
	"github.com/minogrpc/session/internal/existing/mimic"
	"github.com/minogrpc/session/internal/scenario"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

// rpcName is the procedure of the scenarios.
const rpcName = "scenario"

// isExisting tells whether a node is one of the existing implementation.
func (w *world) isExisting(name string) bool {
	return slices.Contains(w.sc.Existing, name)
}

// model returns the text of an address, as existing nodes have it.
func (w *world) model(name string) existing.Address {
	text, err := w.address(name).MarshalText()
	require.NoError(w, err)

	return existing.Address(text).Follower()
}

// startExisting begins a life of an existing node.
func (w *world) startExisting(n *node, listener net.Listener) {
	running, err := existing.Start(existing.Config{
		Listener: listener, Host: host(n.name), Dial: w.net.Dialer(host(n.name)),
		Certificate: n.cert, Store: w.theirs, Height: w.sc.Height,
	})
	require.NoError(w, err)

	running.Handle(rpcName, mimic.Handler(w.handler(n), texts{}))

	n.stop = func() error {
		running.Stop()

		for _, oddity := range running.Oddities() {
			w.failf(0, "%s: %s", n.name, oddity)
		}

		return nil
	}

	if n.name == scenario.Orchestrator {
		w.opens = func(ctx context.Context, players mino.Players) (mino.Sender, mino.Receiver, error) {
			return mimic.Open(ctx, running, rpcName, players, texts{})
		}
	}
}
