package protocol_test

import (
	"log"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
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
