package worlds_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// orchestrator returns a session of an orchestrator, and the plain stream to its root. onSend
// is as for a fake.Stream.
func (w *world) orchestrator(onSend func(*ptypes.Packet) error) (session.Session, *fake.Stream) {
	me := session.NewOrchestratorAddress(addr("o"))
	sess := w.session(me)
	stream := fake.NewStream(onSend)
	relay := session.NewStreamRelay(addr("root"), stream, json.NewContext())
	ready := make(chan struct{})

	go sess.Listen(relay, w.table(3, me), ready)

	<-ready

	w.cleanup = append(w.cleanup, func() { stream.End(io.EOF) })

	return sess, stream
}

// Promise O1: over a stream without a duplex link a packet counts as delivered when it is
// written.
func TestStreamRelay_WrittenIsDelivered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, stream := w.orchestrator(nil)

		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addrs("b", "c")...)))
		require.Len(t, stream.Sent(), 1)
	})
}

// Promise M2: over a stream packets leave in the order of the sends, awaited or not.
func TestStreamRelay_KeepsTheOrderOfTheSends(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, stream := w.orchestrator(nil)

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

// Promise L7: when the root is lost, Recv returns the cause, and Send reports unwritten
// packets.
func TestStreamRelay_LossOfTheRootIsTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		blocked := make(chan struct{})
		sess, stream := w.orchestrator(func(*ptypes.Packet) error {
			<-blocked

			return errLost
		})
		errs := sess.Send(fake.Message("hello"), addr("b"))

		synctest.Wait()
		stream.End(errLost)

		failed := w.outcomes(errs)
		require.Equal(t, session.ReasonTimeout, failed[0].Reason)
		require.ErrorIs(t, failed[0], errLost)

		_, _, err := sess.Recv(t.Context())
		require.ErrorIs(t, err, errLost)
		close(blocked)
	})
}

// The observer sees every event.
func TestObserver_SeesWhatHappens(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{})

		seen := make(chan string, 100)
		saw := func(what string) { seen <- what }
		table := w.table(1, addr("a"), addrs("b", "c")...)
		sess, parent := w.root(addr("a"), table, session.WithObserver(session.Observer{
			RelayOpened: func(_ session.StreamInfo, peer mino.Address) { saw("opened " + peer.String()) },
			RelayLost:   func(_ session.StreamInfo, peer mino.Address, _ error) { saw("lost " + peer.String()) },
			RelayClosed: func(_ session.StreamInfo, peer mino.Address) { saw("closed " + peer.String()) },
			PacketSent: func(_ session.StreamInfo, to mino.Address, _ session.PacketInfo) {
				saw("sent " + to.String())
			},
			PacketReceived: func(_ session.StreamInfo, from mino.Address, _ session.PacketInfo) {
				saw("received " + from.String())
			},
			PacketDelivered: func(_ session.StreamInfo, info session.PacketInfo) {
				saw("delivered from " + info.Source.String())
			},
			PacketDropped: func(_ session.StreamInfo, err *session.DeliveryError) {
				saw("dropped " + err.Destination.String())
			},
			QueueDepth: func(_ session.StreamInfo, packets, bytes int) {
				saw(fmt.Sprintf("depth %d %d", packets, bytes))
			},
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
			"depth 1 265":                               1,
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
