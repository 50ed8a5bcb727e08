package minogrpc_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// Promise M3: a small message right behind a large one to the same player goes with it, while the
// outbox has room.
func TestSend_SmallBehindLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		nodes := map[string]mino.Address{}
		for _, name := range []string{"a", "b", "c"} {
			node := startIn(t, network, "grpc://"+name+":1")
			nodes[name] = node.GetAddress()
			rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})

			if name == "c" {
				out, in, err := rpc.Stream(t.Context(), mino.NewAddresses(nodes["a"], nodes["b"]))
				require.NoError(t, err)

				large := out.Send(text(strings.Repeat("x", 20<<20)), nodes["b"])
				small := out.Send(text("small"), nodes["b"])

				for err := range large {
					t.Error("large", err)
				}

				for err := range small {
					t.Error("small", err)
				}

				for range 2 {
					_, _, err := in.Recv(t.Context())
					require.NoError(t, err)
				}
			}
		}
	})
}
