package worlds_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// failures returns the failure of one destination, as a receipt holds it.
func failures(dest string, reason ptypes.Reason, cause string) []*ptypes.Failure {
	return []*ptypes.Failure{{Destination: []byte("FA" + dest + ":1"), Reason: reason, Cause: cause}}
}

// receipts returns a frame with these receipts.
func receipts(list ...*ptypes.Receipt) *ptypes.Packet {
	return &ptypes.Packet{Receipts: list}
}

// verdict is what the session has said about a parcel.
type verdict struct {
	// failed maps destinations to their reasons.
	failed  map[string]ptypes.Reason
	reached []uint32
	// over is set when the last receipt has come.
	over bool
}

// verdicts returns what the session has said about each parcel.
func (n *neighbour) verdicts() map[uint64]verdict {
	all := make(map[uint64]verdict)

	say := func(r *ptypes.Receipt) {
		v := all[r.GetParcelId()]
		require.False(n, v.over, "more about parcel %d after the last receipt", r.GetParcelId())

		v.over = r.GetLast()
		v.reached = append(v.reached, r.GetReached()...)

		for _, f := range r.GetFailures() {
			if v.failed == nil {
				v.failed = make(map[string]ptypes.Reason)
			}

			v.failed[string(f.GetDestination())] = f.GetReason()
		}

		all[r.GetParcelId()] = v
	}

	for _, frame := range n.frames() {
		for _, r := range frame.GetReceipts() {
			say(r)
		}

		for _, id := range frame.GetDelivered() {
			say(&ptypes.Receipt{ParcelId: id, Last: true})
		}
	}

	return all
}

// requireOpen fails when the channel of a Send is closed or has an error to read.
func requireOpen(t *testing.T, errs <-chan error) {
	t.Helper()
	synctest.Wait()

	select {
	case err, open := <-errs:
		t.Fatal("more than there is to know", err, open)
	default:
	}
}

// Promise O1: over a duplex link the receipts give the outcomes.
// Promise O6: a receipt for some of the destinations counts at once.
// Promise O3: a receipt for an unknown parcel, or a second one for the same destination,
// changes nothing.
func TestDuplex_ReceiptsSettleTheDestinations(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()
		errs := sess.Send(fake.Message("hello"), addrs("b", "c", "d", "e")...)

		synctest.Wait()
		require.Len(t, root.received(), 1)
		require.Equal(t, "hello", string(root.received()[0].GetBody()))

		id := root.received()[0].GetId()

		root.feed(receipts(&ptypes.Receipt{ParcelId: id, Failures: failures("c", 1, "none")}))
		require.Equal(t, "no route to grpc://c:1: none", (<-errs).Error())
		requireOpen(t, errs)

		root.feed(receipts(
			&ptypes.Receipt{ParcelId: id, Reached: []uint32{3, 3, 4, 1<<32 - 1}},
			&ptypes.Receipt{ParcelId: id, Failures: failures("e", 3, "was reached")},
			&ptypes.Receipt{ParcelId: id + 1, Last: true},
			&ptypes.Receipt{ParcelId: 0, Last: true},
		))
		root.feed(&ptypes.Packet{Delivered: []uint64{id + 1, 0, 1 << 63}})
		requireOpen(t, errs)

		root.feed(receipts(
			&ptypes.Receipt{ParcelId: id, Failures: failures("d", 3, "full"), Last: true},
			&ptypes.Receipt{ParcelId: id, Failures: failures("b", 3, "too late"), Last: true},
		))
		require.Equal(t, map[string]session.Reason{"grpc://d:1": session.ReasonOverflow}, reasons(w.outcomes(errs)))
	})
}

// Promise O2: a failure without a destination counts for every destination that no other
// receipt names.
func TestDuplex_FailureWithoutADestinationIsAboutTheRest(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()
		errs := sess.Send(fake.Message("hello"), addrs("b", "c", "d")...)

		synctest.Wait()

		id := root.received()[0].GetId()
		root.feed(receipts(&ptypes.Receipt{ParcelId: id, Reached: []uint32{1}}))
		root.feed(receipts(
			&ptypes.Receipt{ParcelId: id, Failures: []*ptypes.Failure{{Reason: 6, Cause: "bad"}}, Last: true}))

		require.Equal(t, map[string]session.Reason{
			"grpc://b:1": session.ReasonRejected, "grpc://d:1": session.ReasonRejected,
		}, reasons(w.outcomes(errs)))
	})
}

// Promise O3: thousands of failures in one receipt, for its destination and for strangers,
// settle each destination once.
func TestDuplex_FaultyReceiptsSettleEachDestinationOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()
		errs := sess.Send(fake.Message("hello"), addrs("b", "c")...)

		synctest.Wait()

		id := root.received()[0].GetId()
		faulty := &ptypes.Receipt{ParcelId: id}

		for i := range 5000 {
			faulty.Failures = append(faulty.Failures, failures("c", 99, "again")...)
			faulty.Failures = append(faulty.Failures, failures(fmt.Sprint("stranger", i), 1, "who")...)
			faulty.Reached = append(faulty.Reached, uint32(i+2))
		}

		root.feed(receipts(faulty, faulty))
		root.feed(receipts(&ptypes.Receipt{ParcelId: id, Failures: failures("stranger", 1, "who"), Last: true}))

		require.Equal(t, map[string]session.Reason{
			// Nobody knows which destination a stranger's failure was meant for.
			"grpc://b:1": session.ReasonTimeout, "grpc://c:1": session.ReasonTimeout,
		}, reasons(w.outcomes(errs)))
		require.Equal(t, 1, sess.GetNumParents())
	})
}

// Promise O3: a receipt for a parcel that has not been sent yet settles nothing.
func TestDuplex_ReceiptForWhatHasNotBeenSentIsIgnored(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()
		root.block()

		var errs <-chan error

		for range 3 {
			errs = sess.Send(fake.Message("hello"), addr("b"))
			synctest.Wait()
		}

		// The session is writing the second parcel, and the third waits for that.
		third := root.received()[0].GetId() + 2
		root.feed(&ptypes.Packet{Delivered: []uint64{third}})
		root.feed(receipts(&ptypes.Receipt{ParcelId: third, Failures: failures("b", 1, "none"), Last: true}))
		requireOpen(t, errs)

		root.unblock()
		synctest.Wait()
		require.Equal(t, third, root.received()[2].GetId())
		root.feed(&ptypes.Packet{Delivered: []uint64{third}})
		require.Empty(t, w.outcomes(errs))
	})
}

// Promise O1: when a root gives no receipt, Send reports the timeout by the deadline, and the
// session does not lose the root.
func TestDuplex_MissingReceiptTimesOut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()
		root.live()

		start := time.Now()
		first := sess.Send(fake.Message("hello"), addr("b"))

		time.Sleep(10 * time.Second) // Virtual time.

		second := sess.Send(fake.Message("hello"), addr("b"))

		require.Equal(t, session.ReasonTimeout, w.outcomes(first)[0].Reason)
		require.Equal(t, session.DefaultOutcomeTimeout, time.Since(start))
		require.Equal(t, session.ReasonTimeout, w.outcomes(second)[0].Reason)
		require.Equal(t, session.DefaultOutcomeTimeout+10*time.Second, time.Since(start))
		require.Equal(t, 1, sess.GetNumParents())
	})
}

// Promise O1: a node answers each destination of a parcel that comes over a duplex link.
// Promise O6: it does not hold back the outcomes that it knows already.
func TestDuplex_ReceiptsAreGivenToTheParent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.frozen("b")

		sess := w.session(addr("a"))
		parent := w.parent(sess, session.NewOrchestratorAddress(addr("o")), w.table(1, addr("a"), addrs("b", "c")...))

		several := parent.send(1, addrs("b", "a", "c", "stranger")...)
		alone := parent.send(2, addr("a"))
		garbage := &ptypes.Parcel{Id: 77, Body: []byte("garbage")}
		parent.feed(&ptypes.Packet{Parcels: []*ptypes.Parcel{garbage}})
		synctest.Wait()

		require.Equal(t, map[uint64]verdict{
			several.GetId(): {
				failed: map[string]ptypes.Reason{
					"FAc:1": ptypes.Reason_REASON_UNREACHABLE, "FAstranger:1": ptypes.Reason_REASON_NO_ROUTE,
				},
				reached: []uint32{1},
			},
			alone.GetId():   {over: true},
			garbage.GetId(): {failed: map[string]ptypes.Reason{"": ptypes.Reason_REASON_REJECTED}, over: true},
		}, parent.verdicts())
	})
}

// frozen runs a node that accepts connections and never speaks.
func (w *world) frozen(name string) {
	listener, err := w.net.Listen(name + ":1")
	require.NoError(w, err)

	w.cleanup = append(w.cleanup, func() { require.NoError(w, listener.Close()) })
}

// Promise O1: when a link ends, Send does not report reached destinations as closed.
func TestDuplex_ReachedDestinationsStayReachedAtTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()
		errs := sess.Send(fake.Message("hello"), addrs("b", "c")...)

		synctest.Wait()
		root.feed(receipts(&ptypes.Receipt{ParcelId: root.received()[0].GetId(), Reached: []uint32{0}}))
		synctest.Wait()
		sess.Close()

		require.Equal(t, map[string]session.Reason{"grpc://c:1": session.ReasonTimeout}, reasons(w.outcomes(errs)))
	})
}

// Promise O1: a node reports all outcomes of a parcel, however many they are.
func TestDuplex_ManyFailuresAreAllTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		parent := w.parent(sess, session.NewOrchestratorAddress(addr("o")), w.table(1, addr("a")))

		// The receipts take several frames.
		frame := &ptypes.Packet{}
		for i := range 2_000 {
			stranger := addr(strings.Repeat("s", 250) + strconv.Itoa(i))
			frame.Parcels = append(frame.Parcels, parent.parcel(uint64(i+1), stranger, addr("a")))
		}

		parent.feed(frame)
		synctest.Wait()
		require.Len(t, parent.verdicts(), 2_000)

		for id, v := range parent.verdicts() {
			require.Len(t, v.failed, 1, "of parcel %d", id)
			require.True(t, v.over)
		}
	})
}

// Promise O3: receipts cannot grow without bound when a parent does not read them.
func TestDuplex_UnreadReceiptsLoseTheParent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		parent := w.parent(sess, addr("p"), w.table(1, addr("a")))

		strangers := make([]mino.Address, 1000)
		for i := range strangers {
			strangers[i] = addr(fmt.Sprint("stranger", i))
		}

		parent.block()

		start := time.Now()

		for i := range 110 {
			parent.send(uint64(i+1), strangers...)
		}

		_, _, err := sess.Recv(t.Context())
		require.ErrorContains(t, err, "does not read its receipts")
		require.Less(t, time.Since(start), session.DefaultAdoptionGrace+session.DefaultLiveness)
		require.Zero(t, sess.GetNumParents())
		parent.unblock()
	})
}

// Promise O3: what a parent could not have read yet is not held against it. One packet may have
// very many destinations, all of which fail.
func TestDuplex_ManyReceiptsAtOnceLoseNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		parent := w.parent(sess, addr("p"), w.table(1, addr("a")))
		parent.live()

		strangers := make([]mino.Address, 110_000)
		for i := range strangers {
			strangers[i] = addr(fmt.Sprint("stranger", i))
		}

		parent.send(1, strangers...)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 1, sess.GetNumParents())

		told := 0
		for _, f := range parent.frames() {
			for _, r := range f.GetReceipts() {
				told += len(r.GetFailures())
			}
		}

		require.Equal(t, len(strangers), told)
	})
}

// Promise M2: over a duplex link messages arrive in the order of the sends and at most once. A
// node never delivers a message that a later one has overtaken.
func TestDuplex_OvertakenMessageIsNotDelivered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		parent := w.parent(sess, addr("p"), w.table(1, addr("a")))

		for _, sequence := range []uint64{1, 2, 5} {
			parent.send(sequence, addr("a"))
		}

		again, late := parent.send(2, addr("a")), parent.send(3, addr("a"))

		// A link of calls may have reordered this one, so being late is no fault of it.
		unordered := parent.parcel(4, addr("a"))
		unordered.Unordered = true
		parent.feed(&ptypes.Packet{Parcels: []*ptypes.Parcel{unordered}})

		for _, want := range []string{"1", "2", "5", "4"} {
			from, got := w.recv(sess)
			require.Equal(t, want, string(got))
			require.True(t, from.Equal(addr("z")))
		}

		synctest.Wait()
		require.Equal(t, verdict{over: true}, parent.verdicts()[again.GetId()])
		require.Equal(t, verdict{over: true}, parent.verdicts()[unordered.GetId()])
		require.Equal(t, verdict{
			failed: map[string]ptypes.Reason{"FAa:1": ptypes.Reason_REASON_TIMEOUT}, over: true,
		}, parent.verdicts()[late.GetId()])
	})
}

// Promise M2: packets leave in the order of the sends, awaited or not. A break does not change
// that, and the neighbour gets none twice.
func TestDuplex_SendsKeepTheirOrderAcrossABreak(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()

		for i := range 1000 {
			if i%200 == 50 {
				root.current().End(errLost)
			}

			sess.Send(fake.Message("hello"), addr("b"))
		}

		synctest.Wait()
		requireCounted(t, 1000, root.sequences())
	})
}

// requireCounted fails unless the sequences count from 1 to n.
func requireCounted(t *testing.T, n int, sequences []uint64) {
	t.Helper()
	require.Len(t, sequences, n)

	for i, sequence := range sequences {
		require.Equal(t, uint64(i+1), sequence)
	}
}
