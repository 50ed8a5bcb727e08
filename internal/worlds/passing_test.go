package worlds_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
)

// between returns a session with a duplex link to an orchestrator and one to a child b. Every
// packet that does not go up goes to b.
func (w *world) between() (sess session.Session, parent, child *neighbour) {
	sess, children := w.dialling(addr("a"), "b")
	table := chain{gateway: addr("b"), Table: w.table(1, addr("a"), addr("b"))}

	return sess, w.parent(sess, session.NewOrchestratorAddress(addr("o")), table), children["b"]
}

// Promise O1: between players, too, the receipts give the outcomes, hop by hop.
// Promise O6: a node passes on at once what it knows of some destinations.
func TestPassing_OutcomesGoBackAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, parent, child := w.between()
		id := parent.send(1, addrs("b", "a", "c", "d")...).GetId()

		synctest.Wait()
		require.Equal(t, verdict{reached: []uint32{1}}, parent.verdicts()[id])

		// Its destinations are b, c and d.
		part := child.received()[0].GetId()
		child.feed(receipts(&ptypes.Receipt{ParcelId: part, Reached: []uint32{2}}))
		synctest.Wait()
		require.Equal(t, verdict{reached: []uint32{1, 3}}, parent.verdicts()[id])

		child.feed(receipts(&ptypes.Receipt{ParcelId: part, Failures: failures("c", 3, "full")}))
		synctest.Wait()

		failed := map[string]ptypes.Reason{"FAc:1": ptypes.Reason_REASON_OVERFLOW}
		require.Equal(t, verdict{failed: failed, reached: []uint32{1, 3}}, parent.verdicts()[id])

		child.feed(&ptypes.Packet{Delivered: []uint64{part}})
		synctest.Wait()
		require.Equal(t, verdict{failed: failed, reached: []uint32{1, 3}, over: true}, parent.verdicts()[id])
	})
}

// Promise M2: a node passes a packet on in order and with its identity. It also passes on
// whether the packet has kept the order so far.
func TestPassing_KeepsTheOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, parent, child := w.between()

		for sequence := range uint64(100) {
			parent.send(sequence+1, addr("c"))
		}

		synctest.Wait()
		requireCounted(t, 100, child.sequences())

		for _, parcel := range child.received() {
			require.False(t, parcel.GetUnordered())
			require.Equal(t, "0123456789abcdef", string(parcel.GetOrigin()))
		}

		unordered := parent.parcel(101, addr("c"))
		unordered.Unordered = true
		parent.feed(&ptypes.Packet{Parcels: []*ptypes.Parcel{unordered}})
		synctest.Wait()

		// A call keeps no order.
		go func() { _, _ = sess.RecvPacket(addr("q"), w.identified(102, time.Minute, addr("c"))) }()

		synctest.Wait()
		requireCounted(t, 102, child.sequences())
		require.True(t, child.received()[100].GetUnordered())
		require.True(t, child.received()[101].GetUnordered())
	})
}

// Promise O1: a DuplexRelay outside of a session waits for the outcomes, too.
func TestDuplexRelay_SendWaitsForTheOutcomes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()
		defer sess.Close()

		packet := func(to ...mino.Address) router.Packet {
			return w.table(3, addr("o")).Make(addr("o"), to, []byte("hello"))
		}

		var (
			ack      *ptypes.Ack
			err      error
			answered = make(chan struct{})
		)

		go func() {
			defer close(answered)

			ack, err = root.relay.Send(t.Context(), packet(addrs("b", "c")...))
		}()

		synctest.Wait()

		id := root.received()[0].GetId()
		root.feed(receipts(&ptypes.Receipt{ParcelId: id, Failures: failures("c", 1, "none"), Last: true}))

		<-answered
		require.NoError(t, err)
		require.Len(t, ack.GetFailures(), 1)
		require.Equal(t, "FAc:1", string(ack.GetFailures()[0].GetDestination()))
	})
}
