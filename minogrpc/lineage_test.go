package minogrpc_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// Promises R2, S2: who could not be reached for a moment, and was passed over, may be the
// parent of those behind it later, when the one who has opened the stream there is lost.
func TestLineage_WhoWasPassedOverMayBeTheParentLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		// In this tree 2 is below the root, 7 below 2, and 8 below 7.
		const parent, between, player = 2, 7, 8

		store := minogrpc.WithStorage(certs.NewInMemoryStore())
		nodes, rpcs := make([]*minogrpc.Minogrpc, 38), make([]mino.RPC, 38)

		for i := range nodes {
			nodes[i] = startIn(t, network, "grpcs://"+hostOf(i), store)
			rpcs[i] = mino.MustCreateRPC(nodes[i], rpcName, echo, texts{})
		}

		out, in, err := rpcs[0].Stream(withContext(t), playersOf(nodes[1:]...))
		require.NoError(t, err)

		network.RefuseDial(hostOf(between))
		requireEchoes(t, out, in, nodes[player])

		network.AllowDial(hostOf(between))
		time.Sleep(30 * time.Second)
		require.NoError(t, nodes[parent].Stop())
		time.Sleep(5 * time.Second)

		requireEchoes(t, out, in, nodes[between], nodes[player])
		time.Sleep(time.Minute)
		requireEchoes(t, out, in, nodes[between], nodes[player])
	})
}
