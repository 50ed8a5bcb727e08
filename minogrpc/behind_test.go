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
		c := sessiontest.Cluster(t, 3, sessiontest.WithMinogrpc(linked(nil)...),
			sessiontest.WithRPC(rpcName, echo, texts{}))
		out, in, err := c.RPC(2, rpcName).Stream(t.Context(), c.Players().Take(mino.RangeFilter(0, 2)))
		require.NoError(t, err)

		large := out.Send(text(strings.Repeat("x", 20<<20)), c.Address(1))
		small := out.Send(text("small"), c.Address(1))

		requireDelivered(t, large)
		requireDelivered(t, small)

		for range 2 {
			_, _, err := in.Recv(t.Context())
			require.NoError(t, err)
		}
	})
}
