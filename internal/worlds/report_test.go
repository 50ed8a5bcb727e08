package worlds_test

import (
	"strings"
	"testing"

	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// Promise O3: a node passes on the address of the hop that gave up on a destination. If the
// address is too long, the node puts its neighbour's address instead.
func TestAck_LongHopIsNotPassedOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		long := []byte("FA" + strings.Repeat("h", 400<<10) + ":1")
		w.peer("b", acking(&ptypes.Ack{Failures: []*ptypes.Failure{
			{Destination: []byte("FAb:1"), Reason: ptypes.Reason_REASON_OVERFLOW, Hop: long, Cause: "too much"},
			{Destination: long, Reason: ptypes.Reason_REASON_OVERFLOW, Hop: long, Cause: "too much"},
		}}))

		table := chain{gateway: addr("b"), Table: w.table(1, addr("a"), addrs("b", "c")...)}
		sess, _ := w.root(addr("a"), table)

		ack, err := sess.RecvPacket(addr("z"), w.packet(addr("z"), addrs("b", "c")...))
		require.NoError(t, err)
		require.Len(t, ack.GetFailures(), 2)
		require.Less(t, proto.Size(ack), 1<<10)

		for _, f := range ack.GetFailures() {
			require.Equal(t, "FAb:1", string(f.GetHop()))
		}
	})
}

// Promise O3: a node leaves its own address out when that is too long.
func TestAck_LongHopIsNotTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		me := addr(strings.Repeat("a", 600))
		sess, _ := w.root(me, w.table(1, me))

		ack, err := sess.RecvPacket(addr("z"), w.packet(addr("z"), addr("b")))
		require.NoError(t, err)
		require.Len(t, ack.GetFailures(), 1)
		require.Empty(t, ack.GetFailures()[0].GetHop())
		require.Equal(t, "FAb:1", string(ack.GetFailures()[0].GetDestination()))
	})
}
