package worlds_test

import (
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// receive gives a packet to a session, and returns the reasons of its failures.
func (w *world) receive(sess session.Session, from mino.Address, p *ptypes.Packet) map[string]ptypes.Reason {
	ack, err := sess.RecvPacket(from, p)
	require.NoError(w, err)
	require.Len(w, ack.GetErrors(), len(ack.GetFailures()))

	byDest := make(map[string]ptypes.Reason)
	for _, f := range ack.GetFailures() {
		byDest[string(f.GetDestination())] = f.GetReason()
	}

	return byDest
}

// Promise R1: a packet from a parent goes only down.
func TestRoute_FromAParentOnlyDown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		parents := []*fake.Relay{fake.NewRelay(addr("p0"), nil), fake.NewRelay(addr("p1"), nil)}

		for _, parent := range parents {
			w.listen(sess, parent, w.table(1, addr("a")))
		}

		got := w.receive(sess, addr("p0"), w.packet(addr("z"), addr("stranger")))
		require.Equal(t, map[string]ptypes.Reason{"FAstranger:1": ptypes.Reason_REASON_NO_ROUTE}, got)

		parents[0].Feed(w.packet(addr("z"), addr("stranger")))
		synctest.Wait()

		for _, parent := range parents {
			require.Empty(t, parent.Sent())
		}
	})
}

// Promise R1: an orchestrator reaches the player on its own node through the root, also with
// the table of an existing overlay, which is made with that player's address.
func TestRoute_FromTheOrchestratorToThePlayerOfItsNode(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, own := range []mino.Address{addr("o"), orchestratorOf(addr("o"))} {
			sess := w.session(orchestratorOf(addr("o")), session.WithNeighborsOnly())
			root := fake.NewRelay(addr("root"), nil)
			w.listen(sess, root, w.table(3, own))

			require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("o"))))
			require.Len(t, root.Sent(), 1)

			require.Empty(t, w.receive(sess, addr("root"), w.packet(addr("o"), orchestratorOf(addr("o")))))

			from, msg := w.recv(sess)
			require.Equal(t, addr("o"), session.FollowerOf(from))
			require.Equal(t, fake.Message("hello"), msg)
		}
	})
}

// Promise R1: a packet from a child goes up, but never back to that child.
func TestRoute_FromAChildNeverBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b, c := &sessiontest.Peer{}, &sessiontest.Peer{}
		w.peer("b", b)
		w.peer("c", c)

		sess := w.session(addr("a"))
		parent := fake.NewRelay(addr("p"), nil)
		w.listen(sess, parent, w.table(1, addr("a"), addrs("b", "c")...))

		got := w.receive(sess, addr("b"), w.packet(addr("b"), addrs("b", "c", "z")...))
		require.Equal(t, map[string]ptypes.Reason{"FAb:1": ptypes.Reason_REASON_NO_ROUTE}, got)
		require.Empty(t, b.Forwards())
		require.Len(t, c.Forwards(), 1)
		require.Len(t, parent.Sent(), 1)
		require.Equal(t, addrs("z"), parent.Sent()[0].GetDestination())
	})
}

// Promise R1: the orchestrator's link carries only packets for the orchestrator.
func TestRoute_OnlyTheOrchestratorIsReachedOverItsLink(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, parent := w.root(addr("a"), w.table(1, addr("a"), addr("b")))
		orchestrator := parent.GetDistantAddress()
		other := session.NewOrchestratorAddress(addr("other"))
		follower := session.FollowerOf(orchestrator)

		errs := w.outcomes(sess.Send(fake.Message("hello"), orchestrator, other, follower, addr("stranger")))
		require.Equal(t, map[string]session.Reason{
			other.String():      session.ReasonNoRoute,
			follower.String():   session.ReasonNoRoute,
			"grpc://stranger:1": session.ReasonNoRoute,
		}, reasons(errs))
		require.Len(t, parent.Sent(), 1)
		require.Equal(t, []mino.Address{orchestrator}, parent.Sent()[0].GetDestination())

		got := w.receive(sess, addr("b"), w.packet(addr("b"), addr("stranger")))
		require.Equal(t, map[string]ptypes.Reason{"FAstranger:1": ptypes.Reason_REASON_NO_ROUTE}, got)
		require.Len(t, parent.Sent(), 1)
	})
}

// A reply to the address that Recv returned goes back to the orchestrator.
func TestRoute_ReplyToAWrappedAddressReachesTheOrchestrator(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, parent := w.root(addr("a"), w.table(1, addr("a")))

		parent.Feed(w.packet(parent.GetDistantAddress(), addr("a")))

		from, _ := w.recv(sess)
		require.Empty(t, w.outcomes(sess.Send(fake.Message("reply"), from)))
		require.Equal(t, []mino.Address{parent.GetDistantAddress()}, parent.Sent()[0].GetDestination())
	})
}

// Promise R1: the hop limit is the backstop against tables that disagree.
func TestRoute_HopLimitIsTheBackstop(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := &sessiontest.Peer{}
		w.peer("b", b)
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		p := w.packet(addr("z"), addrs("a", "b")...)
		p.Origin, p.Sequence, p.HopLimit = make([]byte, 16), 1, 0

		got := w.receive(sess, addr("c"), p)
		require.Equal(t, map[string]ptypes.Reason{"FAb:1": ptypes.Reason_REASON_NO_ROUTE}, got)
		require.Empty(t, b.Forwards())

		_, msg := w.recv(sess)
		require.Equal(t, fake.Message("hello"), msg)

		p.Sequence, p.HopLimit = 2, 1
		require.Empty(t, w.receive(sess, addr("c"), p))
		require.Zero(t, b.Forwards()[0].GetHopLimit())
	})
}

// Promise M2: a session delivers a packet that comes twice once, and gives the same answer.
func TestRoute_SecondCopyIsNotDelivered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a")))

		p := w.packet(addr("z"), addr("a"))
		p.Origin, p.Sequence = make([]byte, 16), 5000

		for range 3 {
			require.Empty(t, w.receive(sess, addr("b"), p))
		}

		w.recv(sess)

		// This one is too old to tell apart from a delivered one.
		p.Sequence = 1
		got := w.receive(sess, addr("b"), p)
		require.Equal(t, map[string]ptypes.Reason{"FAa:1": ptypes.Reason_REASON_TIMEOUT}, got)

		// Without an identity every packet is new.
		p.Origin = nil
		require.Empty(t, w.receive(sess, addr("b"), p))
		require.Empty(t, w.receive(sess, addr("b"), p))
		w.recv(sess)
		w.recv(sess)
	})
}

// broken is a table that does one thing wrong.
type broken struct {
	router.RoutingTable

	forward   func(router.Packet) (router.Routes, router.Voids)
	handshake func(mino.Address) router.Handshake
}

func (b broken) Forward(p router.Packet) (router.Routes, router.Voids) {
	if b.forward == nil {
		return b.RoutingTable.Forward(p)
	}

	return b.forward(p)
}

func (b broken) PrepareHandshakeFor(to mino.Address) router.Handshake {
	if b.handshake == nil {
		return b.RoutingTable.PrepareHandshakeFor(to)
	}

	return b.handshake(to)
}

// Promise O1: whatever a table does, every destination has an outcome.
func TestRoute_FaultyTableStillSettlesEveryDestination(t *testing.T) {
	forward := func(routes router.Routes, voids router.Voids) broken {
		return broken{forward: func(router.Packet) (router.Routes, router.Voids) { return routes, voids }}
	}

	for name, table := range map[string]broken{
		"forgets":         forward(nil, nil),
		"routes nothing":  forward(router.Routes{addr("b"): nil}, nil),
		"void for no why": forward(nil, router.Voids{addr("b"): {}, addr("c"): {}}),
		"void for nobody": forward(nil, router.Voids{nil: {}, addr("c"): {}}),
		"routes to me": {forward: func(p router.Packet) (router.Routes, router.Voids) {
			return router.Routes{addr("a"): p}, nil
		}},
		"no handshake": {handshake: func(mino.Address) router.Handshake { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				table.RoutingTable = w.table(1, addr("a"), addrs("b", "c")...)
				sess, _ := w.root(addr("a"), table)

				errs := w.outcomes(sess.Send(fake.Message("hello"), addrs("b", "c")...))
				require.Len(t, reasons(errs), 2)
			})
		})
	}
}
