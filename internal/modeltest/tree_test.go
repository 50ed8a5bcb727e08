package modeltest_test

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router"
	trees "github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde/json"
)

// tree has the parent of each player as long as nothing is lost. That of the root
// is the orchestrator.
type tree map[place]place

// plain has the addresses of nodes without TLS. With it, the trees are the same.
var plain scenario

// newTree asks the router for the shape, table by table.
func newTree(players []place, height int) tree {
	t := tree{players[0]: orchestrator}
	r := newRouter(height)

	others := make([]mino.Address, 0, len(players)-1)
	for _, p := range players[1:] {
		others = append(others, plain.address(p))
	}

	table, err := r.New(mino.NewAddresses(others...), plain.address(players[0]))
	if err != nil {
		panic(err)
	}

	t.grow(r, table, players[0], players[1:])

	return t
}

// grow adds what is below a node, whose table it is.
func (t tree) grow(r router.Router, table router.RoutingTable, node place, below []place) {
	if len(below) == 0 {
		return
	}

	dests := make([]mino.Address, len(below))
	for i, p := range below {
		dests[i] = plain.address(p)
	}

	routes, _ := table.Forward(table.Make(nil, dests, nil))
	for _, child := range below {
		part := routes[plain.address(child)]
		if part == nil {
			continue
		}

		var rest []place

		for _, p := range below {
			if p != child && slices.ContainsFunc(part.GetDestination(), plain.address(p).Equal) {
				rest = append(rest, p)
			}
		}

		t[child] = node
		t.grow(r, tableOf(r, table, child), child, rest)
	}
}

// tableOf returns the table that a child makes of its handshake.
func tableOf(r router.Router, table router.RoutingTable, child place) router.RoutingTable {
	data, err := table.PrepareHandshakeFor(plain.address(child)).Serialize(json.NewContext())
	if err != nil {
		panic(err)
	}

	hs, err := r.GetHandshakeFactory().HandshakeOf(json.NewContext(), data)
	if err != nil {
		panic(err)
	}

	below, err := r.GenerateTableFrom(hs)
	if err != nil {
		panic(err)
	}

	return below
}

// path returns the nodes that a message between two places depends on: those on
// its way, and the root and the orchestrator, with either of whom the stream ends.
func (t tree) path(from, to place) map[int]bool {
	nodes := make(map[int]bool)

	for _, p := range []place{from, to} {
		for p != orchestrator {
			nodes[p.node()] = true

			parent, found := t[p]
			if !found {
				break
			}

			p = parent
		}
	}

	for p, parent := range t {
		if parent == orchestrator {
			nodes[p.node()], nodes[parent.node()] = true, true
		}
	}

	return nodes
}

func newRouter(height int) router.Router {
	return trees.NewRouter(minogrpc.NewAddressFactory(), trees.WithHeight(height))
}

// host returns the name of a node in the network.
func host(node int) string {
	return fmt.Sprintf("n%d:1", node)
}

// publicURL returns the URL of a node.
func (sc *scenario) publicURL(node int) *url.URL {
	if sc.tls {
		return &url.URL{Scheme: "grpcs", Host: host(node)}
	}

	return &url.URL{Scheme: "grpc", Host: host(node)}
}

// address returns what a message for the place is sent to.
func (sc *scenario) address(p place) mino.Address {
	switch p {
	case orchestrator:
		return session.NewOrchestratorAddress(session.NewAddress(sc.publicURL(0).String()))
	case stranger:
		return session.NewAddress("grpc://stranger:1")
	case nowhere:
		return session.NewAddress("")
	default:
		return session.NewAddress(sc.publicURL(p.node()).String())
	}
}
