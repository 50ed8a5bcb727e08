package session_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// orchestrator returns a session whose root the test plays over a stream.
func (w *world) orchestrator(opts ...session.RelayOption) (session.Session, *fake.Stream) {
	me := session.NewOrchestratorAddress(addr("o"))
	sess := w.session(me)
	stream := fake.NewStream(nil)
	relay := session.NewStreamRelay(addr("root"), stream, json.NewContext(), opts...)
	ready := make(chan struct{})

	go sess.Listen(relay, w.table(3, me), ready)

	<-ready

	w.cleanup = append(w.cleanup, func() { stream.End(io.EOF) })

	return sess, stream
}

// failures returns what a receipt says about one destination.
func failures(dest string, reason ptypes.Reason, cause string) []*ptypes.Failure {
	return []*ptypes.Failure{{Destination: []byte("FA" + dest + ":1"), Reason: reason, Cause: cause}}
}

// Promise O1: over a stream with receipts, an outcome is what the receipt says.
// Promise O6: a receipt for some of the destinations counts at once.
func TestStreamRelay_ReceiptsSettleTheDestinations(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, stream := w.orchestrator(session.WithReceipts())

		errs := sess.Send(fake.Message("hello"), addrs("b", "c", "d")...)

		synctest.Wait()
		require.Len(t, stream.Sent(), 1)

		id := stream.Sent()[0].GetParcelId()
		require.NotZero(t, id)

		stream.Feed(&ptypes.Packet{Receipts: []*ptypes.Receipt{
			{ParcelId: id, Failures: failures("c", 1, "none")},
		}})
		require.Equal(t, "no route to grpc://c:1: none", (<-errs).Error())

		synctest.Wait()

		select {
		case err, open := <-errs:
			t.Fatal("more than there is to know", err, open)
		default:
		}

		stream.Feed(&ptypes.Packet{Receipts: []*ptypes.Receipt{
			{ParcelId: id + 1, Last: true},
			{ParcelId: id, Failures: failures("d", 3, "full"), Last: true},
			{ParcelId: id, Failures: failures("b", 3, "late"), Last: true},
		}})
		require.Equal(t, map[string]session.Reason{"grpc://d:1": session.ReasonOverflow}, reasons(w.outcomes(errs)))
	})
}

// Promise O1: without receipts a packet counts as delivered when it is written.
func TestStreamRelay_WithoutReceiptsWrittenIsDelivered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, stream := w.orchestrator()

		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addrs("b", "c")...)))
		require.Len(t, stream.Sent(), 1)
		require.Zero(t, stream.Sent()[0].GetParcelId())
	})
}

// Promise O1: a root that gives no receipt is reported by the deadline, and the
// memory for it is free again.
func TestStreamRelay_MissingReceiptTimesOut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.orchestrator(session.WithReceipts())

		start := time.Now()
		first := sess.Send(fake.Message("hello"), addr("b"))

		time.Sleep(10 * time.Second) // Virtual time.

		second := sess.Send(fake.Message("hello"), addr("b"))

		require.Equal(t, session.ReasonTimeout, w.outcomes(first)[0].Reason)
		require.Equal(t, session.DefaultOutcomeTimeout, time.Since(start))
		require.Equal(t, session.ReasonTimeout, w.outcomes(second)[0].Reason)
		require.Equal(t, session.DefaultOutcomeTimeout+10*time.Second, time.Since(start))
	})
}

// Promise M2: over a stream the packets leave in the order of the sends, awaited
// or not.
func TestStreamRelay_KeepsTheOrderOfTheSends(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, stream := w.orchestrator()

		for range 1000 {
			sess.Send(fake.Message("hello"), addr("b"))
		}

		synctest.Wait()
		require.Len(t, stream.Sent(), 1000)

		for i, p := range stream.Sent() {
			require.Equal(t, uint64(i+1), p.GetSequence())
		}
	})
}

// Promise L7: when the root is lost, Recv says why and what is unsettled is
// reported.
func TestStreamRelay_LossOfTheRootIsTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, stream := w.orchestrator(session.WithReceipts())
		errs := sess.Send(fake.Message("hello"), addr("b"))

		synctest.Wait()
		stream.End(errLost)

		failed := w.outcomes(errs)
		require.Equal(t, session.ReasonUnreachable, failed[0].Reason)
		require.ErrorIs(t, failed[0], errLost)

		_, _, err := sess.Recv(t.Context())
		require.ErrorIs(t, err, errLost)
	})
}

// Promise O1: a packet that asks for receipts over a parent's stream gets them.
func TestReceipts_AreGivenToTheParent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{})

		sess := w.session(addr("a"))
		stream := fake.NewStream(nil)
		orchestrator := session.NewOrchestratorAddress(addr("o"))
		relay := session.NewStreamRelay(orchestrator, stream, json.NewContext(), session.WithReceipts())

		ready := make(chan struct{})

		go sess.Listen(relay, w.table(1, addr("a"), addrs("b", "c")...), ready)

		<-ready

		p := w.packet(orchestrator, addrs("a", "b", "c", "stranger")...)
		p.ParcelId = 7
		stream.Feed(p)
		stream.Feed(&ptypes.Packet{Serialized: []byte("garbage"), ParcelId: 8})
		synctest.Wait()

		failed, last := make(map[uint64][]*ptypes.Failure), make(map[uint64]int)

		for _, sent := range stream.Sent() {
			for _, r := range sent.GetReceipts() {
				failed[r.GetParcelId()] = append(failed[r.GetParcelId()], r.GetFailures()...)

				if r.GetLast() {
					last[r.GetParcelId()]++
				}
			}
		}

		require.Equal(t, map[uint64]int{7: 1, 8: 1}, last)
		require.Len(t, failed[7], 2)
		require.Len(t, failed[8], 1)
		require.Equal(t, ptypes.Reason_REASON_REJECTED, failed[8][0].GetReason())
		require.Empty(t, failed[8][0].GetDestination())
		stream.End(io.EOF)
	})
}

// Promise O2: a failure without a destination is about all of the parcel.
func TestStreamRelay_FailureWithoutADestinationIsAboutAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, stream := w.orchestrator(session.WithReceipts())
		errs := sess.Send(fake.Message("hello"), addrs("b", "c")...)

		synctest.Wait()

		id := stream.Sent()[0].GetParcelId()
		stream.Feed(&ptypes.Packet{Receipts: []*ptypes.Receipt{
			{ParcelId: id, Failures: []*ptypes.Failure{{Reason: 6, Cause: "bad"}}, Last: true},
		}})

		require.Equal(t, map[string]session.Reason{
			"grpc://b:1": session.ReasonRejected, "grpc://c:1": session.ReasonRejected,
		}, reasons(w.outcomes(errs)))
	})
}

// The observer is told what happens.
func TestObserver_SeesWhatHappens(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{})

		seen := make(chan string, 100)
		saw := func(what string) { seen <- what }
		table := w.table(1, addr("a"), addrs("b", "c")...)
		sess, parent := w.root(addr("a"), table, session.WithObserver(session.Observer{
			RelayOpened:     func(peer mino.Address) { saw("opened " + peer.String()) },
			RelayLost:       func(peer mino.Address, _ error) { saw("lost " + peer.String()) },
			RelayClosed:     func(peer mino.Address) { saw("closed " + peer.String()) },
			PacketSent:      func(to mino.Address, _ session.PacketInfo) { saw("sent " + to.String()) },
			PacketReceived:  func(from mino.Address, _ session.PacketInfo) { saw("received " + from.String()) },
			PacketDelivered: func(info session.PacketInfo) { saw("delivered from " + info.Source.String()) },
			PacketDropped:   func(err *session.DeliveryError) { saw("dropped " + err.Destination.String()) },
			QueueDepth:      func(packets, bytes int) { saw(fmt.Sprintf("depth %d %d", packets, bytes)) },
		}))

		w.receive(sess, addr("b"), w.packet(addr("b"), addr("a")))
		w.recv(sess)
		w.outcomes(sess.Send(fake.Message("hello"), addrs("b", "c")...))
		parent.End(io.EOF)
		<-sess.(session.Lifecycle).Done()
		close(seen)

		all := make(map[string]int)
		for what := range seen {
			all[what]++
		}

		require.Equal(t, map[string]int{
			"opened Orchestrator:grpc://orchestrator:1": 1,
			"closed Orchestrator:grpc://orchestrator:1": 1,
			"received grpc://b:1":                       1,
			"delivered from grpc://b:1":                 1,
			"depth 1 5":                                 1,
			"depth 0 0":                                 1,
			"opened grpc://b:1":                         1,
			"sent grpc://b:1":                           1,
			"closed grpc://b:1":                         1,
			"lost grpc://c:1":                           1,
			"closed grpc://c:1":                         1,
			"dropped grpc://c:1":                        1,
		}, all)
	})
}
