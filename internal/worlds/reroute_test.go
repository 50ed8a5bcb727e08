package worlds_test

import (
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
)

// twice returns a session with two parents. Its packets go to the second parent while that is
// there.
func (w *world) twice(opts ...session.Option) (sess session.Session, first, second *neighbour) {
	sess = w.session(addr("a"), opts...)
	first = w.parent(sess, addr("p0"), w.table(1, addr("a")))

	return sess, first, w.parent(sess, addr("p1"), w.table(1, addr("a")))
}

// lose ends the stream of a neighbour without a goodbye.
func (n *neighbour) lose() {
	n.current().End(errLost)
	synctest.Wait()
}

// Promises O1, O2: a known outcome does not change. A settled message does not take the new
// route with the others, because it might arrive after it was refused.
func TestReroute_LeavesOutWhatIsSettled(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, first, second := w.twice()
		errs := sess.Send(fake.Message("hello"), addrs("w", "x", "y", "z")...)

		alone := sess.Send(fake.Message("hello"), addr("x"))

		synctest.Wait()

		id := second.received()[0].GetId()
		full := failures("x", ptypes.Reason_REASON_OVERFLOW, "full")
		second.feed(receipts(
			&ptypes.Receipt{ParcelId: id, Failures: full},
			&ptypes.Receipt{ParcelId: id, Reached: []uint32{3}},
			&ptypes.Receipt{ParcelId: second.received()[1].GetId(), Failures: full},
		))
		synctest.Wait()
		second.lose()

		again := first.received()
		require.Len(t, again, 1)

		packets := routerOf(3).GetPacketFactory().(router.BinaryPacketFactory)
		packet, err := packets.PacketOfHeader(again[0].GetHeader(), again[0].GetBody())
		require.NoError(t, err)
		require.Equal(t, addrs("w", "y"), packet.GetDestination())
		require.Equal(t, addr("a"), packet.GetSource())
		require.Equal(t, "hello", string(packet.GetMessage()))

		first.deliver(again...)

		want := map[string]session.Reason{"grpc://x:1": session.ReasonOverflow}
		require.Equal(t, want, reasons(w.outcomes(errs)))
		require.Equal(t, want, reasons(w.outcomes(alone)))
	})
}

// Promise O7: where a copy was handed to a neighbour that is lost, the outcome is a timeout with that
// loss as its cause, whatever the neighbour says that got another copy.
func TestReroute_FailureOfASecondCopyIsATimeout(t *testing.T) {
	for _, reason := range []ptypes.Reason{
		ptypes.Reason_REASON_NO_ROUTE, ptypes.Reason_REASON_UNREACHABLE, ptypes.Reason_REASON_OVERFLOW,
		ptypes.Reason_REASON_TIMEOUT, ptypes.Reason_REASON_CLOSED, ptypes.Reason_REASON_REJECTED,
	} {
		t.Run(session.Reason(reason).String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				dropped := make(chan session.Reason, 1)
				sess, first, second := w.twice(session.WithObserver(session.Observer{
					PacketDropped: func(_ session.StreamInfo, err *session.DeliveryError) { dropped <- err.Reason },
				}))
				errs := sess.Send(fake.Message("hello"), addr("z"))

				synctest.Wait()
				require.Len(t, second.received(), 1)
				second.lose()

				id := first.received()[0].GetId()
				first.feed(receipts(&ptypes.Receipt{ParcelId: id, Failures: failures("z", reason, "why"), Last: true}))

				all := w.outcomes(errs)
				require.Len(t, all, 1)
				require.Equal(t, session.ReasonTimeout, all[0].Reason)
				require.ErrorContains(t, all[0], "why")
				require.Equal(t, session.ReasonTimeout, <-dropped)

				if reason != ptypes.Reason_REASON_TIMEOUT {
					require.ErrorIs(t, all[0], errLost)
				}
			})
		})
	}
}

// Promise O2: it is also a timeout when the second copy finds no room at this node.
func TestReroute_FullOutboxForASecondCopyIsATimeout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"), session.WithOutboxLimits(1, 1<<20))
		w.parent(sess, addr("p0"), w.table(1, addr("a")))
		second := w.parent(sess, addr("p1"), w.table(1, addr("a")))
		filling := sess.Send(fake.Message("first"), addr("p0"))
		errs := sess.Send(fake.Message("second"), addr("z"))

		synctest.Wait()
		require.Len(t, second.received(), 1)
		second.lose()

		all := w.outcomes(errs)
		require.Equal(t, map[string]session.Reason{"grpc://z:1": session.ReasonTimeout}, reasons(all))
		require.ErrorContains(t, all[0], "outbox is at maximum capacity")
		require.Empty(t, filling)
	})
}

// Promise O2: a copy that never left gives no reason for doubt.
func TestReroute_RefusalOfTheOnlyCopyStays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, first, second := w.twice()

		// One packet is in the stream, one does not fit, and one waits.
		second.block()

		for _, to := range addrs("x", "y") {
			sess.Send(fake.Message("before"), to)
			synctest.Wait()
		}

		errs := sess.Send(fake.Message("hello"), addr("z"))
		second.lose()
		second.unblock()
		synctest.Wait()

		parcels := first.received()
		require.Len(t, parcels, 3)

		id := parcels[2].GetId()
		first.feed(receipts(&ptypes.Receipt{
			ParcelId: id, Failures: failures("z", ptypes.Reason_REASON_OVERFLOW, "full"), Last: true,
		}))
		require.Equal(t, map[string]session.Reason{"grpc://z:1": session.ReasonOverflow}, reasons(w.outcomes(errs)))
	})
}
