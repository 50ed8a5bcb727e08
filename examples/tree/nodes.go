package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/examples/internal/words"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
)

// node is one of the nodes, all of which are players.
type node struct {
	*minogrpc.Minogrpc

	name string
	rpc  mino.RPC

	// addr is the address that the others know the node by.
	addr mino.Address
}

// startNodes starts the nodes on free ports of the loopback interface, each with a
// certificate that it makes itself, and lets everybody know everybody. What it
// returns is to be stopped even if there is an error.
func (d *demo) startNodes(ctx context.Context) ([]*node, error) {
	var nodes []*node

	for i := range d.options.nodes {
		n, err := d.startNode(i)
		if err != nil {
			return nodes, err
		}

		nodes = append(nodes, n)

		worker, err := words.NewWorker(n.addr, d.counter(ctx, i))
		if err != nil {
			return nodes, err
		}

		n.rpc, err = n.CreateRPC("words", worker, words.Messages{})
		if err != nil {
			return nodes, fmt.Errorf("create the procedure: %w", err)
		}
	}

	return nodes, exchangeCertificates(nodes)
}

func (d *demo) startNode(index int) (*node, error) {
	started, err := minogrpc.NewMinogrpc(
		minogrpc.ParseAddress("127.0.0.1", 0),
		nil,
		tree.NewRouter(minogrpc.NewAddressFactory()),
		minogrpc.WithObserver(d.handlerObserver(index)),
		minogrpc.WithSessionOptions(
			session.WithObserver(d.observer(index)),
			session.WithObserver(d.ways.record.Observer()),
		),
	)
	if err != nil {
		return nil, fmt.Errorf("start a node: %w", err)
	}

	return &node{Minogrpc: started, name: fmt.Sprintf("node %d", index+1), addr: started.GetAddress()}, nil
}

// counter returns what a node counts with: slow enough to be watched, if somebody watches.
func (d *demo) counter(ctx context.Context, index int) words.Counter {
	return func(folder fs.FS, name string) (int, error) {
		wait(ctx, look(d.stage, func(b *board) time.Duration { return b.players[index].pace }))

		if ctx.Err() != nil {
			return 0, context.Cause(ctx) // Nobody waits for the rest.
		}

		n, err := d.counts(folder, name)

		d.stage.set(func(b *board) {
			b.players[index].files++
			b.players[index].words += n
		})

		return n, err
	}
}

// exchangeCertificates does what an operator would: it gives every node the
// certificates of the others, without which it would not believe them.
func exchangeCertificates(nodes []*node) error {
	for _, n := range nodes {
		for _, peer := range nodes {
			err := n.GetCertificateStore().Store(peer.addr, peer.GetCertificateChain())
			if err != nil {
				return fmt.Errorf("store a certificate: %w", err)
			}
		}
	}

	return nil
}

// stopNodes stops the nodes, those that have been stopped before included.
func stopNodes(nodes []*node) error {
	errs := make([]error, 0, len(nodes))
	for _, n := range nodes {
		errs = append(errs, n.Stop())
	}

	return errors.Join(errs...)
}

// inStream returns what the node knows about its part as a player.
func (n *node) inStream() session.Snapshot {
	for _, st := range n.Snapshot().Streams {
		if st.Role != host.StreamOrchestrator {
			return st.Snapshot
		}
	}

	return session.Snapshot{}
}

// hangsOn tells whether another node is above this one.
func (n *node) hangsOn(other *node) bool {
	return slices.ContainsFunc(n.inStream().Parents, func(parent session.Neighbor) bool {
		return parent.Address == other.addr.String() && parent.State == session.NeighborOpen
	})
}

// addressesOf returns the addresses of the nodes.
func addressesOf(nodes []*node) []mino.Address {
	addrs := make([]mino.Address, len(nodes))
	for i, n := range nodes {
		addrs[i] = n.addr
	}

	return addrs
}
