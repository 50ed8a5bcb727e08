package worlds_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// identified returns a packet with an identity and a budget.
func (w *world) identified(sequence uint64, budget time.Duration, to ...mino.Address) *ptypes.Packet {
	p := w.packet(addr("z"), to...)
	p.Origin = bytes.Repeat([]byte{1}, 16)
	p.Sequence, p.HopLimit = sequence, 10
	p.BudgetMs = uint32(min(budget.Milliseconds(), math.MaxUint32))

	return p
}

// Promise L2: a budget that is too short for a set-up expires, and the session loses no
// neighbour.
func TestHostile_ShortBudgetLosesNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{})
		w.net.Delay("a:1", "b:1", 20*time.Millisecond)
		w.net.Delay("b:1", "a:1", 20*time.Millisecond)

		lost := 0
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")), session.WithObserver(session.Observer{
			RelayLost: func(session.StreamInfo, mino.Address, error) { lost++ },
		}))

		got := w.receive(sess, addr("z"), w.identified(1, 90*time.Millisecond, addr("b")))
		require.Equal(t, map[string]ptypes.Reason{"FAb:1": ptypes.Reason_REASON_TIMEOUT}, got)
		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("b"))))
		require.Zero(t, lost)
	})
}

// Promise L2: a packet with little time does not shorten the set-up for those with more, and a
// set-up has no more time than it may have.
func TestHostile_ShortBudgetLeavesOthersTheirSetup(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{})
		w.net.Freeze("b:1", "a:1")

		var lost []time.Duration

		start := time.Now()
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")), session.WithSetupTimeout(7*time.Second),
			session.WithObserver(session.Observer{
				RelayLost: func(session.StreamInfo, mino.Address, error) { lost = append(lost, time.Since(start)) },
			}))

		got := w.receive(sess, addr("z"), w.identified(1, 90*time.Millisecond, addr("b")))
		require.Equal(t, map[string]ptypes.Reason{"FAb:1": ptypes.Reason_REASON_TIMEOUT}, got)

		sent := sess.Send(fake.Message("hello"), addr("b"))

		time.AfterFunc(5*time.Second, func() { w.net.Heal("a:1", "b:1") })
		require.Empty(t, w.outcomes(sent))
		require.Empty(t, lost)
	})
}

// Promise L2: where nobody has more time, a set-up ends early.
func TestHostile_SetupIsAsShortAsItsPackets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{})
		w.net.Freeze("b:1", "a:1")

		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		start := time.Now()
		got := w.receive(sess, addr("z"), w.identified(1, 6*time.Second, addr("b")))
		require.Equal(t, map[string]ptypes.Reason{"FAb:1": ptypes.Reason_REASON_UNREACHABLE}, got)
		require.Equal(t, 2*time.Second, time.Since(start))
	})
}

// Promise S3: a neighbour cannot make a node wait for as long as it likes.
func TestHostile_LongBudgetIsCut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{OnForward: sessiontest.NeverAck})
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		start := time.Now()
		got := w.receive(sess, addr("z"), w.identified(1, math.MaxInt64, addr("b")))
		require.Equal(t, map[string]ptypes.Reason{"FAb:1": ptypes.Reason_REASON_TIMEOUT}, got)
		require.Equal(t, 10*session.DefaultOutcomeTimeout, time.Since(start))
	})
}

// Promise R1: the hop limit of a packet is at most our own.
func TestHostile_HopLimitIsCut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := &sessiontest.Peer{}
		w.peer("b", b)
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		p := w.identified(1, time.Second, addr("b"))
		p.HopLimit = math.MaxUint32
		require.Empty(t, w.receive(sess, addr("z"), p))
		require.Less(t, b.Forwards()[0].GetHopLimit(), uint32(session.DefaultHopLimit))
	})
}

// Promise L3: gRPC can carry every text that a node sends.
func TestHostile_AnswerIsValidUTF8(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a")))

		packet := w.packet(addr("z"), addr("y"))
		encode := base64.StdEncoding.EncodeToString
		packet.Serialized = bytes.ReplaceAll(packet.GetSerialized(),
			[]byte(encode([]byte("FAy:1"))), []byte(encode([]byte("FA\xff:1"))))

		_, err := sess.RecvPacket(addr("z"), packet)
		require.ErrorContains(t, err, "packet malformed")
		require.True(t, utf8.ValidString(err.Error()))
	})
}

// Promise M3: one silent destination of a send does not hold up the others.
func TestHostile_FrozenGrandchildOfABroadcastCostsOnlyItself(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{OnForward: func(ctx context.Context, p *ptypes.Packet) (*ptypes.Ack, error) {
			packet, err := routerOf(3).GetPacketFactory().PacketOf(json.NewContext(), p.GetSerialized())
			if err == nil && slices.Contains(packet.GetDestination(), mino.Address(addr("frozen"))) {
				return sessiontest.NeverAck(ctx, p)
			}

			return &ptypes.Ack{}, err
		}})

		sess, _ := w.root(addr("a"), chain{gateway: addr("b"), Table: w.table(1, addr("a"), addr("b"))})
		for range 20 {
			sess.Send(fake.Message("hello"), addrs("x", "frozen")...)
		}

		start := time.Now()
		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addrs("x", "y")...)))
		require.Zero(t, time.Since(start))
	})
}

// The packets that wait for a child leave together when the child has answered.
func TestChild_WaitingPacketsLeaveTogether(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := &sessiontest.Peer{OnForward: sessiontest.NeverAck}
		w.peer("b", b)

		sess, _ := w.root(addr("a"), chain{gateway: addr("b"), Table: w.table(1, addr("a"), addr("b"))})
		for i := range 100 {
			sess.Send(fake.Message("hello"), addr(string(rune('A'+i%20))))
		}

		synctest.Wait()
		require.Len(t, b.Forwards(), 64)
	})
}

// Promise L6: a session that closes waits a moment for a child that does not answer, and then
// releases it.
func TestHostile_FrozenChildDoesNotHoldUpClose(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		freed := make(chan struct{})
		ending := func(ptypes.Overlay_StreamServer) error {
			<-freed

			return nil
		}
		w.peer("b", &sessiontest.Peer{OnForward: sessiontest.NeverAck, OnStream: ending})

		sess, parent := w.root(addr("a"), w.table(1, addr("a"), addr("b")))
		errs := sess.Send(fake.Message("hello"), addr("b"))

		synctest.Wait()

		start := time.Now()

		sess.Close()
		parent.End(io.EOF)
		<-sess.(session.Lifecycle).Done()
		require.Equal(t, 2*time.Second, time.Since(start))
		require.Equal(t, session.ReasonTimeout, w.outcomes(errs)[0].Reason)
		close(freed)
	})
}

// halfStream is an opener's stream, so that the session can say goodbye on it.
type halfStream struct{ *fake.Stream }

func (halfStream) CloseSend() error { return nil }

// Promise L6: closing does not wait for a passive parent whose stream nobody watches.
func TestHostile_PassiveParentDoesNotHoldUpClose(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		me := session.NewOrchestratorAddress(addr("o"))
		sess := w.session(me)
		stream := halfStream{fake.NewStream(nil)}
		sess.SetPassive(session.NewStreamRelay(addr("r"), stream, json.NewContext()),
			w.table(3, me))
		sess.Send(fake.Message("hello"), addr("r"))
		synctest.Wait()

		start := time.Now()

		sess.Close()
		<-sess.(session.Lifecycle).Done()
		require.LessOrEqual(t, time.Since(start), 2*time.Second)
	})
}

// Promise R2: a node that leaves does not answer for the nodes behind it. The sender finds
// another way to them.
func TestHostile_ClosingNodeDoesNotSpeakForOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{OnForward: sessiontest.NeverAck})
		sess := w.session(addr("a"))
		w.listen(sess, fake.NewRelay(addr("p"), nil), w.table(1, addr("a"), addr("b")))

		under := make(chan error)

		go func() {
			_, err := sess.RecvPacket(addr("p"), w.packet(addr("p"), addr("b")))
			under <- err
		}()

		synctest.Wait()
		sess.(session.Lifecycle).Leave(nil)

		_, err := sess.RecvPacket(addr("p"), w.packet(addr("p"), addr("b")))
		require.ErrorIs(t, err, session.ErrClosed)
		require.Equal(t, codes.Unavailable, status.Code(err))

		err = <-under
		require.ErrorIs(t, err, session.ErrClosed)
		require.Equal(t, codes.Unavailable, status.Code(err))

		// It does answer for itself.
		got := w.receive(sess, addr("p"), w.packet(addr("p"), addr("a")))
		require.Equal(t, map[string]ptypes.Reason{"FAa:1": ptypes.Reason_REASON_CLOSED}, got)
	})
}

// Promise L6: a session is closed from the loss of its last parent on.
func TestParent_SendDuringTheEndIsClosed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var (
			sess session.Session
			got  []*session.DeliveryError
		)

		sess, parent := w.root(addr("a"), w.table(1, addr("a")), session.WithObserver(session.Observer{
			RelayLost: func(session.StreamInfo, mino.Address, error) {
				got = w.outcomes(sess.Send(fake.Message("late"), addr("a")))
			},
		}))
		parent.End(errLost)
		<-sess.(session.Lifecycle).Done()
		require.Equal(t, session.ReasonClosed, got[0].Reason)
	})
}

// Promise L3: the table that chose a lost route decides whether there is another.
func TestChild_LossIsJudgedByTheTableThatChose(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lose := make(chan struct{})
		ending := func(ptypes.Overlay_StreamServer) error {
			<-lose

			return errLost
		}
		w.peer("b", &sessiontest.Peer{OnForward: sessiontest.NeverAck, OnStream: ending})
		w.peer("c", &sessiontest.Peer{})

		sess := w.session(addr("a"))
		first := fake.NewRelay(addr("p0"), nil)
		gone := w.listen(sess, first, chain{gateway: addr("b"), Table: w.table(1, addr("a"), addrs("b", "d")...)})
		errs := sess.Send(fake.Message("hello"), addr("d"))

		synctest.Wait()

		// To the table of the second parent, b is a stranger.
		table := chain{gateway: addr("c"), Table: w.table(1, addr("a"), addr("c"))}
		w.listen(sess, fake.NewRelay(addr("p1"), nil), table)
		first.End(io.EOF)
		<-gone
		close(lose)
		require.Empty(t, w.outcomes(errs))
	})
}

// doubling is a table that routes the first destination twice and the others not at all.
type doubling struct{ Table }

func (d doubling) Forward(p router.Packet) (router.Routes, router.Voids) {
	alone := d.Make(p.GetSource(), p.GetDestination()[:1], p.GetMessage())

	return router.Routes{addr("b"): alone, addr("c"): alone}, nil
}

// Promise O1: a table that routes one destination twice does not hide another.
func TestRoute_DoubledDestinationHidesNoOther(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{})
		w.peer("c", &sessiontest.Peer{})
		sess, _ := w.root(addr("a"), doubling{w.table(1, addr("a"), addrs("b", "c")...)})

		errs := w.outcomes(sess.Send(fake.Message("hello"), addrs("b", "c")...))
		require.Equal(t, map[string]session.Reason{"grpc://c:1": session.ReasonNoRoute}, reasons(errs))
	})
}

// wrapping is a packet factory that wraps every packet.
type wrapping struct {
	router.PacketFactory

	wrap func(router.Packet) router.Packet
}

func (f wrapping) PacketOf(ctx serde.Context, data []byte) (router.Packet, error) {
	p, err := f.PacketFactory.PacketOf(ctx, data)
	if err != nil {
		return nil, err
	}

	return f.wrap(p), nil
}

// lax is a packet that a node may take for either of its roles.
type lax struct{ router.Packet }

func (p lax) Slice(me mino.Address) router.Packet {
	for _, dest := range p.GetDestination() {
		if session.FollowerOf(dest) == session.FollowerOf(me) {
			return p.Packet.Slice(dest)
		}
	}

	return nil
}

// Promise O1: a destination is settled under the address that the sender named, also when a
// router takes the packet for the other role of the node.
func TestRoute_DestinationIsSettledAsItWasNamed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		pktFac := wrapping{routerOf(3).GetPacketFactory(), func(p router.Packet) router.Packet { return lax{p} }}
		sess := session.NewSession(nil, addr("a"), fake.MessageFactory{}, pktFac, json.NewContext(), nil)
		w.listen(sess, fake.NewRelay(addr("p"), nil), w.table(1, addr("a")))

		require.Empty(t, w.receive(sess, addr("z"), w.packet(addr("z"), session.NewOrchestratorAddress(addr("a")))))
		w.recv(sess)
	})
}

// madPacket is a packet that panics when it is asked for its destinations.
type madPacket struct{ router.Packet }

func (madPacket) GetDestination() []mino.Address { panic("by the test") }

// Promise S1: a packet that comes over a stream and panics ends the session.
func TestPanic_OfAPacketEndsTheSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		pktFac := wrapping{routerOf(3).GetPacketFactory(), func(p router.Packet) router.Packet { return madPacket{p} }}
		sess := session.NewSession(nil, addr("a"), fake.MessageFactory{}, pktFac, json.NewContext(), nil)
		parent := fake.NewRelay(addr("p"), nil)
		w.listen(sess, parent, w.table(1, addr("a")))

		parent.Feed(w.packet(addr("p"), addr("a")))
		requirePanicked(t, sess)
	})
}

// madRelay panics in Close. Its stream panics in Recv if the test asks for it.
type madRelay struct {
	*fake.Relay

	recv bool
}

func (madRelay) Close() error { panic("by the test") }

func (r madRelay) Stream() session.PacketStream {
	if r.recv {
		return madStream{}
	}

	return r.Relay.Stream()
}

type madStream struct{ session.PacketStream }

func (madStream) Recv() (*ptypes.Packet, error) { panic("by the test") }

// Promise S1: a relay that panics while its session reads or ends harms only that session.
func TestPanic_OfAnyMethodOfARelayIsContained(t *testing.T) {
	for name, recv := range map[string]bool{"close": false, "recv": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(_ *testing.T, w *world) {
				sess := w.session(addr("a"))
				relay := madRelay{Relay: fake.NewRelay(addr("p"), nil), recv: recv}
				ready := make(chan struct{})

				go sess.Listen(relay, w.table(1, addr("a")), ready)

				<-ready

				if !recv {
					sess.Close()
					relay.End(io.EOF)
				}

				<-sess.(session.Lifecycle).Done()
			})
		})
	}
}
