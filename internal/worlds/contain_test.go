package worlds_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// mad is a table whose methods panic when a test asks for it.
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

// Promise S1: a panic of the table ends the stream at any moment, and Send still reports every
// outcome.
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

// requirePanicked waits until the session ends, and checks that a panic is the cause.
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

// Promise S1: a panic of a relay ends the stream, and Send still reports the outcome.
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

// Promise S1: a panic of the observer ends the stream, but does not undo the event.
func TestPanic_OfTheObserverEndsTheSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a")), session.WithObserver(session.Observer{
			PacketDelivered: func(session.StreamInfo, session.PacketInfo) { panic("by the test") },
		}))

		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("a"))))

		_, msg := w.recv(sess)
		require.Equal(t, fake.Message("hello"), msg)
		requirePanicked(t, sess)
	})
}

// namelessRelay is a relay with one method that panics.
type namelessRelay struct {
	session.Relay

	stream, address bool
}

func (r namelessRelay) Stream() session.PacketStream {
	if r.stream {
		panic("by the test")
	}

	return r.Relay.Stream()
}

func (r namelessRelay) GetDistantAddress() mino.Address {
	if r.address {
		panic("by the test")
	}

	return r.Relay.GetDistantAddress()
}

// Promise S1: a relay that panics during its registration ends the session.
// Promise L6: Listen returns, and nothing of the relay is left.
func TestPanic_OfARelayThatIsRegistered(t *testing.T) {
	for name, relay := range map[string]namelessRelay{"stream": {stream: true}, "address": {address: true}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				relay.Relay = fake.NewRelay(addr("p"), nil)
				sess := w.session(addr("a"))

				sess.Listen(relay, w.table(1, addr("a")), nil)
				requirePanicked(t, sess)
				<-sess.(session.Lifecycle).Done()
			})
		})
	}
}

// madFormats is a packet factory that panics when the session asks for its format.
type madFormats struct{ router.BinaryPacketFactory }

func (madFormats) BinaryFormat() string { panic("by the test") }

// Promise S1: a factory that panics when the session asks for its format ends the session, and
// blocks nobody.
func TestPanic_OfAFormatEndsTheSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		factory := madFormats{routerOf(3).GetPacketFactory().(router.BinaryPacketFactory)}
		sess := session.NewSession(nil, addr("a"), fake.MessageFactory{}, factory, json.NewContext(), nil)
		parent := w.stranger(sess, addr("p"), w.table(1, addr("a")))

		parent.tryDial()
		requirePanicked(t, sess)
		<-sess.(session.Lifecycle).Done()

		_, err := session.DialRelay(t.Context(), parent.addr, json.NewContext(), factory, parent.accept)
		require.ErrorIs(t, err, contain.ErrPanic)
	})
}

// logBuffer is a log that a test may read while others write.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.text.String()
}

// madAddress is an address that panics when it is printed.
type madAddress struct{ mino.Address }

func (madAddress) String() string { panic("by the test") }

// madAddresses makes such addresses.
type madAddresses struct{ mino.AddressFactory }

func (f madAddresses) FromText(text []byte) mino.Address {
	return madAddress{f.AddressFactory.FromText(text)}
}

// Promise S1: an address that panics when it is printed loses only its name. The log, the
// errors and the reading of an existing node's errors survive it.
func TestPanic_OfAnAddressThatIsPrinted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var log logBuffer

		factory := tree.NewRouter(madAddresses{session.AddressFactory{}}).GetPacketFactory()
		logger := zerolog.New(&log)
		sess := session.NewSession(nil, addr("a"), fake.MessageFactory{}, factory, json.NewContext(),
			session.NewConnManager(), session.WithLogger(logger))
		parent := fake.NewRelay(madAddress{addr("p")}, func(context.Context, router.Packet) (*ptypes.Ack, error) {
			return &ptypes.Ack{Errors: []string{"no route to somewhere: by the test"}}, nil
		})
		w.cleanup = append(w.cleanup, sess.Close)
		w.listen(sess, parent, w.table(1, addr("a")))

		errs := w.outcomes(sess.Send(fake.Message("hello"), madAddress{addr("z")}))
		require.Len(t, errs, 1)
		require.ErrorContains(t, errs[0], "madAddress")
		require.NoError(t, sess.(session.Lifecycle).Err())

		ack, err := sess.RecvPacket(madAddress{addr("p")}, w.packet(addr("z"), addr("a")))
		require.NoError(t, err)
		require.Empty(t, ack.GetErrors())

		_, msg := w.recv(sess)
		require.Equal(t, fake.Message("hello"), msg)

		parent.End(errLost)
		synctest.Wait()
		require.Contains(t, log.String(), "relay to the parent lost")
	})
}

// sourceless is a packet that panics when it is asked for its source.
type sourceless struct{ router.Packet }

func (sourceless) GetSource() mino.Address { panic("by the test") }

// madSources makes such packets.
type madSources struct{ router.PacketFactory }

func (f madSources) PacketOf(ctx serde.Context, data []byte) (router.Packet, error) {
	packet, err := f.PacketFactory.PacketOf(ctx, data)

	return sourceless{packet}, err
}

// madConns is a connection manager that panics in Evict.
type madConns struct{ session.ConnectionManager }

func (madConns) Evict(mino.Address) { panic("by the test") }

// Promise S1: a packet that panics does not end the goroutine that receives it. A connection
// manager that panics does not end the goroutine of a link.
func TestPanic_OfWhatComesFromElsewhere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := session.NewSession(nil, addr("a"), fake.MessageFactory{}, madSources{routerOf(3).GetPacketFactory()},
			json.NewContext(), session.NewConnManager())
		w.cleanup = append(w.cleanup, sess.Close)
		w.listen(sess, fake.NewRelay(addr("p"), nil), w.table(1, addr("a")))

		ack, err := sess.RecvPacket(addr("p"), w.packet(addr("z"), addr("a")))
		require.NoError(t, err)
		require.Len(t, ack.GetErrors(), 1)
		requirePanicked(t, sess)
	})

	inWorld(t, func(t *testing.T, w *world) {
		me := session.NewOrchestratorAddress(addr("o"))
		sess := session.NewSession(nil, me, fake.MessageFactory{}, routerOf(3).GetPacketFactory(), json.NewContext(),
			madConns{session.NewConnManager()})
		_, relay, _ := w.dialled(true)

		w.listenUntil(sess, relay, func() {}) // The root stays silent, so the session loses it.
		require.Error(t, sess.(session.Lifecycle).Err())
	})
}

// madContext is a context that panics in Done.
type madContext struct{ context.Context }

func (madContext) Done() <-chan struct{} {
	panic("by the test")
}

// Promise S1: without a context Recv returns an error. A context that panics does so in the
// reader's goroutine, and leaves no lock behind.
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
