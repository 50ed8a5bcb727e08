package protocol_test

import (
	"fmt"
	"log"
	"net/url"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// startNodes starts n nodes on loopback, for examples.
func startNodes(n int) (nodes []mino.Mino, stop func()) {
	running := make([]*minogrpc.Minogrpc, 0, n)

	for range n {
		node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil,
			tree.NewRouter(minogrpc.NewAddressFactory()), minogrpc.NoTLS())
		if err != nil {
			log.Panic(err)
		}

		running, nodes = append(running, node), append(nodes, node)
	}

	return nodes, func() {
		for _, node := range running {
			if err := node.Stop(); err != nil {
				log.Panic(err)
			}
		}
	}
}

// hostOf is where node i listens in the network of a test.
func hostOf(i int) string { return fmt.Sprintf("n%d:1", i) }

// startIn starts n nodes on a network in memory, and stops them when the test ends.
func startIn(t *testing.T, n int) ([]*minogrpc.Minogrpc, mino.Players, *sessiontest.Network) {
	t.Helper()

	network := sessiontest.NewNetwork()
	t.Cleanup(network.Close)

	nodes := make([]*minogrpc.Minogrpc, n)
	addrs := make([]mino.Address, n)

	for i := range nodes {
		listener, err := network.Listen(hostOf(i))
		require.NoError(t, err)

		nodes[i], err = minogrpc.NewMinogrpc(nil, &url.URL{Scheme: "grpc", Host: hostOf(i)},
			tree.NewRouter(minogrpc.NewAddressFactory()), minogrpc.NoTLS(), minogrpc.WithListener(listener),
			minogrpc.WithDialOptions(grpc.WithContextDialer(network.Dialer(hostOf(i)))))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, nodes[i].Stop()) })

		addrs[i] = nodes[i].GetAddress()
	}

	return nodes, mino.NewAddresses(addrs...), network
}
