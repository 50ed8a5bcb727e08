package worlds_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// unavailable is a parent that takes no packets.
func unavailable(context.Context, router.Packet) (*ptypes.Ack, error) {
	return nil, status.Error(codes.Unavailable, "failed by the test")
}

// Promise L4: a dead parent costs nothing when there is another.
func TestParent_DeadOneOfTwoCostsNothing(t *testing.T) {
	for name, alive := range map[string]int{"newest alive": 1, "oldest alive": 0} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				parents := []*fake.Relay{fake.NewRelay(addr("p0"), unavailable), fake.NewRelay(addr("p1"), unavailable)}
				parents[alive] = fake.NewRelay(parents[alive].GetDistantAddress(), nil)
				sess := w.session(addr("a"))

				for _, parent := range parents {
					w.listen(sess, parent, w.table(1, addr("a")))
				}

				for range 1000 {
					require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("z"))))
				}

				require.Len(t, parents[alive].Sent(), 1000)
				// The session tries the dead one now and then, not for each packet.
				require.LessOrEqual(t, len(parents[1-alive].Sent()), 1)
				require.Equal(t, 2, sess.GetNumParents())
			})
		})
	}
}

// Promise L4: when the parent in use is lost, another takes over.
func TestParent_LostOneIsReplacedByAnother(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first, second := fake.NewRelay(addr("p0"), nil), fake.NewRelay(addr("p1"), nil)
		sess := w.session(addr("a"))
		w.listen(sess, first, w.table(1, addr("a")))
		returned := w.listen(sess, second, w.table(1, addr("a")))

		require.Empty(t, w.outcomes(sess.Send(fake.Message("1"), addr("z"))))
		require.Len(t, second.Sent(), 1)

		second.End(errLost)
		<-returned
		require.Equal(t, 1, sess.GetNumParents())
		require.Empty(t, w.outcomes(sess.Send(fake.Message("2"), addr("z"))))
		require.Len(t, first.Sent(), 1)
	})
}

// Promise O2: when no parent takes a packet, the error says how many were tried.
func TestParent_AllDeadNamesHowManyWereTried(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		for _, name := range []string{"p0", "p1"} {
			w.listen(sess, fake.NewRelay(addr(name), unavailable), w.table(1, addr("a")))
		}

		errs := w.outcomes(sess.Send(fake.Message("hello"), addr("z")))
		require.Len(t, errs, 1)
		require.Equal(t, session.ReasonTimeout, errs[0].Reason)
		require.ErrorContains(t, errs[0], "packet is dropped (tried 2 parent-s)")
		require.ErrorContains(t, errs[0], "failed by the test")
	})
}

// A gateway that registers again replaces its old registration. The end of the old one then
// means nothing.
func TestParent_RegisteredAgainStays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		before, after := fake.NewRelay(addr("p"), nil), fake.NewRelay(addr("p"), nil)
		sess := w.session(addr("a"))
		replaced := w.listen(sess, before, w.table(1, addr("a")))
		w.listen(sess, after, w.table(1, addr("a")))

		<-replaced
		require.Equal(t, 1, sess.GetNumParents())

		before.End(io.EOF)
		synctest.Wait()
		require.Equal(t, 1, sess.GetNumParents())
		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("z"))))
		require.Len(t, after.Sent(), 1)
		require.Empty(t, before.Sent())
	})
}

// A session receives a packet on the parent's stream like any other, and Listen goes on.
func TestParent_PacketOnTheStreamIsReceived(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, parent := w.root(addr("a"), w.table(1, addr("a")))

		for range 2 {
			parent.Feed(w.packet(session.NewOrchestratorAddress(addr("o")), addr("a")))
			parent.Feed(&ptypes.Packet{Serialized: []byte("garbage")})
			parent.Feed(&ptypes.Packet{})

			from, msg := w.recv(sess)
			require.Equal(t, fake.Message("hello"), msg)
			require.True(t, from.Equal(addr("o")))
		}

		require.Equal(t, 1, sess.GetNumParents())
	})
}

// Promise L6: the end of the last parent ends the session. Recv returns the queued messages
// first, then the cause.
func TestParent_EndOfTheLastEndsTheSession(t *testing.T) {
	for name, test := range map[string]struct {
		end   error
		check func(*testing.T, error)
	}{
		"clean": {io.EOF, func(t *testing.T, err error) {
			t.Helper()
			require.Equal(t, io.EOF, err)
		}},
		"unclean": {errLost, func(t *testing.T, err error) {
			t.Helper()
			require.ErrorIs(t, err, errLost)
			require.EqualError(t, err, "stream closed unexpectedly: lost by the test")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess := w.session(addr("a"))
				parent := fake.NewRelay(addr("p"), nil)
				returned := w.listen(sess, parent, w.table(1, addr("a")))

				require.Empty(t, w.outcomes(sess.Send(fake.Message("queued"), addr("a"))))
				parent.End(test.end)
				<-returned

				require.Zero(t, sess.GetNumParents())
				_, msg := w.recv(sess)
				require.Equal(t, fake.Message("queued"), msg)

				for range 2 {
					_, _, err := sess.Recv(t.Context())
					test.check(t, err)
				}

				errs := w.outcomes(sess.Send(fake.Message("late"), addrs("a", "z")...))
				require.Len(t, errs, 2)
				require.Equal(t, session.ReasonClosed, errs[0].Reason)
				require.ErrorIs(t, errs[0], session.ErrClosed)
				require.Equal(t, session.ReasonClosed, errs[1].Reason)
			})
		})
	}
}

// Promise L6: every Listen returns when three parents fail at once, even if nobody reads.
func TestParent_EveryListenReturnsWithoutAReader(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		parents := make([]*fake.Relay, 0, 3)
		returned := make([]<-chan struct{}, 0, 3)
		sess := w.session(addr("a"))

		for _, name := range []string{"p0", "p1", "p2"} {
			parent := fake.NewRelay(addr(name), nil)
			parents = append(parents, parent)
			returned = append(returned, w.listen(sess, parent, w.table(1, addr("a"))))
		}

		require.Equal(t, 3, sess.GetNumParents())

		for _, parent := range parents {
			go parent.End(errLost)
		}

		for _, done := range returned {
			<-done
		}
	})
}

// Promise L6: Close makes every Listen return, although the streams go on.
func TestParent_CloseReturnsEveryListen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		first := w.listen(sess, fake.NewRelay(addr("p0"), nil), w.table(1, addr("a")))
		second := w.listen(sess, fake.NewRelay(addr("p1"), nil), w.table(1, addr("a")))

		sess.Close()
		sess.Close()
		<-first
		<-second
		require.Zero(t, sess.GetNumParents())

		// An existing overlay waits for ready while it holds a lock.
		ready := make(chan struct{})
		sess.Listen(fake.NewRelay(addr("p2"), nil), w.table(1, addr("a")), ready)
		<-ready
		require.Zero(t, sess.GetNumParents())

		_, err := sess.(session.Registrar).Register(fake.NewRelay(addr("p2"), nil), w.table(1, addr("a")))
		require.ErrorIs(t, err, session.ErrClosed)
	})
}

// A session uses a passive parent like another, and keeps it when its stream ends.
func TestParent_PassiveStays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(session.NewOrchestratorAddress(addr("a")))
		parent := fake.NewRelay(addr("p"), nil)
		sess.SetPassive(parent, w.table(3, addr("a")))

		parent.End(io.EOF)
		synctest.Wait()
		require.Equal(t, 1, sess.GetNumParents())
		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("z"))))
		require.Len(t, parent.Sent(), 1)
	})
}

// Promise L6: Close is safe while a stream fails, before a Send and during it. Send still
// reports every outcome.
func TestParent_CloseDuringErrorAndSends(t *testing.T) {
	for range 50 {
		inWorld(t, func(_ *testing.T, w *world) {
			sess := w.session(addr("a"))
			parent := fake.NewRelay(addr("p"), nil)
			w.listen(sess, parent, w.table(1, addr("a")))

			go parent.End(errLost)
			go sess.Close()

			sends := make([]<-chan error, 10)
			for i := range sends {
				sends[i] = sess.Send(fake.Message("hello"), addrs("a", "z")...)
			}

			sess.Close()

			for _, errs := range sends {
				w.outcomes(errs)
			}
		})
	}
}

// Promise L8: a node goes on relaying after its handler has ended, and refuses the packets for
// itself.
func TestCloseRecv_RelayingGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		peer := &sessiontest.Peer{}
		w.peer("b", peer)

		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))
		require.Empty(t, w.outcomes(sess.Send(fake.Message("queued"), addr("a"))))
		sess.(session.Lifecycle).CloseRecv()

		ack, err := sess.RecvPacket(addr("z"), w.packet(addr("z"), addrs("a", "b")...))
		require.NoError(t, err)
		require.Equal(t, []string{"session grpc://a:1 is closing: Canceled: closed"}, ack.GetErrors())
		require.Equal(t, ptypes.Reason_REASON_CLOSED, ack.GetFailures()[0].GetReason())
		require.Len(t, peer.Forwards(), 1)

		_, _, err = sess.Recv(t.Context())
		require.Equal(t, io.EOF, err)
	})
}

// Promise L6: a session that is closed with unread packets leaves nothing.
func TestClose_UnreadPacketsLeaveNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 200 {
			sess, _ := w.root(addr("a"), w.table(1, addr("a")))

			for range 10 {
				sess.Send(fake.Message("hello"), addr("a"))
			}

			sess.Close()

			for range 10 {
				w.recv(sess)
			}

			_, _, err := sess.Recv(t.Context())
			require.Equal(t, io.EOF, err)
		}
	})
}

// Promise L6: a session that closes goes on sending its waiting packets for a second.
func TestClose_FlushesWhatWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		slow := fake.NewRelay(addr("p"), func(ctx context.Context, _ router.Packet) (*ptypes.Ack, error) {
			select {
			case <-time.After(900 * time.Millisecond):
				return &ptypes.Ack{}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		sess := w.session(addr("a"))
		returned := w.listen(sess, slow, w.table(1, addr("a")))

		sends := make([]<-chan error, 0, 20)

		for range 20 {
			sends = append(sends, sess.Send(fake.Message("hello"), addr("z")))
		}

		sess.Close()

		// A destination gets eight at a time, so the others come too late. Eight of those are
		// under way.
		delivered := 0
		late := make(map[session.Reason]int)

		for _, errs := range sends {
			failed := w.outcomes(errs)
			if len(failed) == 0 {
				delivered++
			} else {
				late[failed[0].Reason]++
			}
		}

		require.Equal(t, 8, delivered)
		require.Equal(t, map[session.Reason]int{session.ReasonTimeout: 8, session.ReasonClosed: 4}, late)
		<-returned
	})
}

// Promise L6: Recv returns the error of its context, or the error that closed the session.
func TestRecv_GivesTheCause(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a")))

		ctx, cancel := context.WithCancel(t.Context())
		cancel()

		_, _, err := sess.Recv(ctx)
		require.ErrorIs(t, err, context.Canceled)

		sess.(session.Lifecycle).CloseWithError(errLost)
		sess.(session.Lifecycle).CloseWithError(io.ErrUnexpectedEOF)

		_, _, err = sess.Recv(t.Context())
		require.ErrorIs(t, err, errLost)
	})
}

// textless is an address whose text is empty.
type textless struct{ session.Address }

func (textless) MarshalText() ([]byte, error) { return nil, nil }

// Listen refuses a nil relay, a nil table and a relay without an address. It still closes
// ready, and returns at once.
func TestListen_RefusesWhatIsNoParent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		table := w.table(1, addr("a"))

		for name, test := range map[string]struct {
			relay session.Relay
			table router.RoutingTable
		}{
			"no relay":       {nil, table},
			"no table":       {fake.NewRelay(addr("p"), nil), nil},
			"no gateway":     {fake.NewRelay(nil, nil), table},
			"without a text": {fake.NewRelay(textless{}, nil), table},
		} {
			ready := make(chan struct{})
			sess.Listen(test.relay, test.table, ready)
			<-ready

			_, err := sess.(session.Registrar).Register(test.relay, test.table)
			require.Error(t, err, name)

			sess.SetPassive(test.relay, test.table)
			require.Zero(t, sess.GetNumParents(), name)
		}
	})
}

// Register says how a parent's stream ended: either a newer stream of the same link has
// replaced it, or the registration is over.
func TestRegister_WaitSaysWhatHasEnded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		register := func(offer string) *session.Registration {
			md := metadata.Pairs(session.LinkKey, "duplex-1;id=00112233445566778899aabbccddeeff;frame=262144;"+offer)
			stream := fake.NewStream(nil)
			relay, ok := session.AcceptRelay(stream, addr("p"), md)
			require.True(t, ok)

			w.cleanup = append(w.cleanup, func() { stream.End(io.EOF) })

			registration, err := sess.(session.Registrar).Register(relay, w.table(1, addr("a")))
			require.NoError(t, err)

			return registration
		}

		first := register("epoch=1")
		second := register("epoch=2;received=0")
		require.ErrorIs(t, first.Wait(), session.ErrSuperseded)
		require.Equal(t, 1, sess.GetNumParents())

		sess.Close()
		require.NoError(t, second.Wait())
		require.NoError(t, second.Wait())
		require.ErrorIs(t, first.Wait(), session.ErrSuperseded)
	})
}

// Promise L6: when Close returns, the session has released the connections of the children that
// take calls, also if it had ended before. The graceful stop of an existing overlay counts on
// that.
func TestClose_ReleasesTheConnectionsOfUnicastLinks(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, end := range []func(session.Session, *fake.Relay){
			func(session.Session, *fake.Relay) {},
			func(_ session.Session, parent *fake.Relay) { parent.End(io.EOF) },
		} {
			conns := session.NewConnManager(session.WithDialOptions(grpc.WithContextDialer(w.net.Dialer("a:1"))))
			sess := session.NewSession(nil, addr("a"), fake.MessageFactory{}, routerOf(3).GetPacketFactory(),
				json.NewContext(), conns)
			parent := fake.NewRelay(session.NewOrchestratorAddress(addr("o")), nil)

			listener, err := w.net.Listen("b:1")
			require.NoError(t, err)

			stop := (&sessiontest.Peer{}).Serve(listener)
			w.listen(sess, parent, w.table(1, addr("a"), addrs("b", "c")...))

			require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("b"))))
			sess.Send(fake.Message("hello"), addr("c")) // Nobody is there.
			require.Positive(t, conns.Len())

			end(sess, parent)
			sess.Close()
			require.Zero(t, conns.Len())
			require.NoError(t, conns.Close())
			stop()
		}
	})
}
