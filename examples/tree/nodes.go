package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/examples/internal/words"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
)

// size is the number of nodes: enough for a tree that has a middle.
const size = 15

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
func startNodes(ways *ways, count words.Counter) ([]*node, error) {
	var nodes []*node

	for i := range size {
		n, err := startNode(i, ways)
		if err != nil {
			return nodes, err
		}

		nodes = append(nodes, n)

		worker, err := words.NewWorker(n.addr, count)
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

func startNode(index int, ways *ways) (*node, error) {
	started, err := minogrpc.NewMinogrpc(
		minogrpc.ParseAddress("127.0.0.1", 0),
		nil,
		tree.NewRouter(minogrpc.NewAddressFactory()),
		minogrpc.WithSessionOptions(
			session.WithObserver(ways.observer(index)),
			session.WithObserver(ways.record.Observer()),
		),
	)
	if err != nil {
		return nil, fmt.Errorf("start a node: %w", err)
	}

	return &node{Minogrpc: started, name: fmt.Sprintf("node %d", index+1), addr: started.GetAddress()}, nil
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

// find returns the node at an address of any form, or nil.
func find(nodes []*node, addr mino.Address) *node {
	i := slices.IndexFunc(nodes, func(n *node) bool { return n.addr == session.FollowerOf(addr) })
	if i < 0 {
		return nil
	}

	return nodes[i]
}

// addressesOf returns the addresses of the nodes.
func addressesOf(nodes []*node) []mino.Address {
	addrs := make([]mino.Address, len(nodes))
	for i, n := range nodes {
		addrs[i] = n.addr
	}

	return addrs
}
