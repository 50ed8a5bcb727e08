package session_test

import (
	"context"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
)

// mad does what it should, or panics when it is told so.
type mad struct {
	router.RoutingTable

	forward, handshake, failure, send bool
}

func (m mad) Make(src mino.Address, to []mino.Address, msg []byte) router.Packet {
	if m.send {
		panic("by the test")
	}

	return m.RoutingTable.Make(src, to, msg)
}

func (m mad) Forward(p router.Packet) (router.Routes, router.Voids) {
	if m.forward {
		panic("by the test")
	}

	return m.RoutingTable.Forward(p)
}

func (m mad) PrepareHandshakeFor(to mino.Address) router.Handshake {
	if m.handshake {
		panic("by the test")
	}

	return m.RoutingTable.PrepareHandshakeFor(to)
}

func (m mad) OnFailure(to mino.Address) error {
	if m.failure {
		panic("by the test")
	}

	return m.RoutingTable.OnFailure(to)
}

// madPackets is a packet factory that panics.
type madPackets struct{ router.PacketFactory }

func (madPackets) PacketOf(serde.Context, []byte) (router.Packet, error) {
	panic("by the test")
}

// Promise S1: a panic of the table, at whatever moment, ends the stream, and every
// outcome is told.
func TestPanic_OfTheTableEndsTheSession(t *testing.T) {
	for name, table := range map[string]mad{
		"make":      {send: true},
		"forward":   {forward: true},
		"handshake": {handshake: true},
		"failure":   {failure: true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				table.RoutingTable = w.table(1, addr("a"), addrs("b", "c")...)
				sess, _ := w.root(addr("a"), table)

				require.Len(t, w.outcomes(sess.Send(fake.Message("hello"), addrs("b", "c")...)), 2)
				requirePanicked(t, sess)
			})
		})
	}
}

// requirePanicked waits for the end of a session with a panic for its cause.
func requirePanicked(t *testing.T, sess session.Session) {
	t.Helper()

	for {
		_, _, err := sess.Recv(t.Context())

		_, single := err.(*session.MessageError) //nolint:errorlint // Only that type alone is not the end.
		if err != nil && !single {
			require.ErrorIs(t, err, contain.ErrPanic)
			require.ErrorIs(t, sess.(session.Lifecycle).Err(), contain.ErrPanic)

			return
		}
	}
}

// Promise S1: a panic of a factory ends the stream.
func TestPanic_OfAFactoryEndsTheSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a")))

		require.Empty(t, w.outcomes(sess.Send(fake.Message(fake.Panic), addr("a"))))
		require.Empty(t, w.outcomes(sess.Send(fake.Message("before"), addr("a"))))

		_, _, err := sess.Recv(t.Context())
		require.ErrorIs(t, err, contain.ErrPanic)

		_, msg := w.recv(sess)
		require.Equal(t, fake.Message("before"), msg)
		requirePanicked(t, sess)
	})

	inWorld(t, func(t *testing.T, w *world) {
		sess := session.NewSession(nil, addr("a"), fake.MessageFactory{}, madPackets{}, serde.Context{}, nil)
		w.listen(sess, fake.NewRelay(addr("p"), nil), w.table(1, addr("a")))

		_, err := sess.RecvPacket(addr("p"), w.packet(addr("p"), addr("a")))
		require.ErrorIs(t, err, contain.ErrPanic)
		requirePanicked(t, sess)
	})
}

// Promise S1: a panic of a relay ends the stream, and the outcome is told.
func TestPanic_OfARelayEndsTheSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		w.listen(sess, fake.NewRelay(addr("p"), func(context.Context, router.Packet) (*ptypes.Ack, error) {
			panic("by the test")
		}), w.table(1, addr("a")))

		require.Len(t, w.outcomes(sess.Send(fake.Message("hello"), addr("z"))), 1)
		requirePanicked(t, sess)
	})
}

// Promise S1: a panic of the observer ends the stream; what it was told about
// happens all the same.
func TestPanic_OfTheObserverEndsTheSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a")), session.WithObserver(session.Observer{
			PacketDelivered: func(session.PacketInfo) { panic("by the test") },
		}))

		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("a"))))

		_, msg := w.recv(sess)
		require.Equal(t, fake.Message("hello"), msg)
		requirePanicked(t, sess)
	})
}

// madContext is a context that panics when it is waited for.
type madContext struct{ context.Context }

func (madContext) Done() <-chan struct{} {
	panic("by the test")
}

// Promise S1: without a context Recv returns an error. A context that panics does so in the
// goroutine of the reader, and leaves no lock behind.
func TestRecv_SurvivesWhatIsNoContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var none context.Context

		sess, _ := w.root(addr("a"), w.table(1, addr("a")))

		_, _, err := sess.Recv(none)
		require.ErrorContains(t, err, "no context")
		require.Panics(t, func() { _, _, _ = sess.Recv(madContext{t.Context()}) })

		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("a"))))

		_, msg := w.recv(sess)
		require.Equal(t, fake.Message("hello"), msg)
	})
}
