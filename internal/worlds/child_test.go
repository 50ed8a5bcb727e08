package worlds_test

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// detour is a table with two gateways. Everything goes through the first until that is lost,
// then through the second.
type detour struct {
	router.RoutingTable

	gateways []mino.Address

	mu     sync.Mutex
	failed []mino.Address
}

func (d *detour) Forward(packet router.Packet) (router.Routes, router.Voids) {
	d.mu.Lock()
	defer d.mu.Unlock()

	return router.Routes{d.gateways[len(d.failed)]: packet}, nil
}

func (d *detour) OnFailure(to mino.Address) error {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.failed = append(d.failed, to)
	if len(d.failed) == len(d.gateways) {
		return fmt.Errorf("no way around %v", to)
	}

	return nil
}

func (d *detour) failures() []mino.Address {
	d.mu.Lock()
	defer d.mu.Unlock()

	return append([]mino.Address(nil), d.failed...)
}

// failing returns a peer whose answer to every packet is an error.
func failing(code codes.Code) *sessiontest.Peer {
	return &sessiontest.Peer{OnForward: func(context.Context, *ptypes.Packet) (*ptypes.Ack, error) {
		return nil, status.Error(code, "failed by the test")
	}}
}

// Promise L3: the session tells the table about a lost relay, whatever the status code was, and
// routes its unsettled packets again.
func TestChild_LossIsToldToTheTableAndRoutedAround(t *testing.T) {
	for _, code := range []codes.Code{
		codes.Unavailable, codes.Canceled, codes.Internal, codes.Unknown, codes.NotFound,
	} {
		t.Run(code.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				b, c := failing(code), &sessiontest.Peer{}
				w.peer("b", b)
				w.peer("c", c)

				table := &detour{RoutingTable: w.table(1, addr("a"), addr("d")), gateways: addrs("b", "c")}
				sess, _ := w.root(addr("a"), table)

				require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("d"))))
				require.Equal(t, addrs("b"), table.failures())
				require.Len(t, b.Forwards(), 1)
				require.Len(t, c.Forwards(), 1)
				require.Equal(t, b.Forwards()[0].GetOrigin(), c.Forwards()[0].GetOrigin())
				require.Equal(t, b.Forwards()[0].GetSequence(), c.Forwards()[0].GetSequence())
			})
		})
	}
}

// Promise L3: a child is lost when its stream ends. The packets on their way to it are routed
// again.
func TestChild_EndOfStreamIsLossOfWhatIsUnsettled(t *testing.T) {
	for name, end := range map[string]error{"clean": nil, "error": errLost} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				got := make(chan struct{})
				b := &sessiontest.Peer{
					OnStream: func(ptypes.Overlay_StreamServer) error {
						<-got

						return end
					},
					OnForward: func(ctx context.Context, _ *ptypes.Packet) (*ptypes.Ack, error) {
						close(got)
						<-ctx.Done()

						return nil, ctx.Err()
					},
				}
				c := &sessiontest.Peer{}
				w.peer("b", b)
				w.peer("c", c)

				table := &detour{RoutingTable: w.table(1, addr("a"), addr("d")), gateways: addrs("b", "c")}
				sess, _ := w.root(addr("a"), table)

				start := time.Now()
				require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("d"))))
				require.Equal(t, addrs("b"), table.failures())
				require.Len(t, c.Forwards(), 1)
				require.Less(t, time.Since(start), time.Second)
			})
		})
	}
}

// Promise L3: with an option, the session reports packets that may have arrived and does not
// send them twice.
func TestChild_WithoutRetryReportsTimeout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := &sessiontest.Peer{}
		w.peer("b", failing(codes.Unavailable))
		w.peer("c", c)

		table := &detour{RoutingTable: w.table(1, addr("a"), addr("d")), gateways: addrs("b", "c")}
		sess, _ := w.root(addr("a"), table, session.WithoutRetry())

		errs := w.outcomes(sess.Send(fake.Message("hello"), addr("d")))
		require.Equal(t, session.ReasonTimeout, errs[0].Reason)
		require.Empty(t, c.Forwards())
		require.Equal(t, addrs("b"), table.failures())
	})
}

// Promise L3: an error about one packet settles that packet and loses nobody.
func TestChild_ErrorAboutAPacketLosesNobody(t *testing.T) {
	for code, reason := range map[codes.Code]session.Reason{
		codes.ResourceExhausted: session.ReasonOverflow,
		codes.DeadlineExceeded:  session.ReasonTimeout,
		codes.InvalidArgument:   session.ReasonRejected,
	} {
		t.Run(code.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				b := failing(code)
				w.peer("b", b)

				table := &detour{RoutingTable: w.table(1, addr("a"), addr("d")), gateways: addrs("b", "c")}
				sess, _ := w.root(addr("a"), table)

				for range 2 {
					errs := w.outcomes(sess.Send(fake.Message("hello"), addr("d")))
					require.Len(t, errs, 1)
					require.Equal(t, reason, errs[0].Reason)
				}

				require.Empty(t, table.failures())
				require.Len(t, b.Streams(), 1)
			})
		})
	}
}

// Promise L3: a child that refuses the stream is lost, and the error gives its reason.
func TestChild_RefusedStreamIsLoss(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{Refuse: status.Error(codes.PermissionDenied, "not you")})
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		errs := w.outcomes(sess.Send(fake.Message("hello"), addr("b")))
		require.Equal(t, session.ReasonUnreachable, errs[0].Reason)
		require.ErrorContains(t, errs[0], "not you")
	})
}

// Promise L2: the session gives up a child that never answers at the set-up deadline. The other
// children do not wait for it.
func TestChild_SetupHasADeadline(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		// The listener accepts connections, and nobody serves them.
		listener, err := w.net.Listen("b:1")
		require.NoError(t, err)

		defer func() { require.NoError(t, listener.Close()) }()

		w.peer("c", &sessiontest.Peer{})
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addrs("b", "c")...),
			session.WithSetupTimeout(3*time.Second))

		start := time.Now()
		slow := sess.Send(fake.Message("hello"), addr("b"))
		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("c"))))
		require.Zero(t, time.Since(start))

		errs := w.outcomes(slow)
		require.Equal(t, session.ReasonUnreachable, errs[0].Reason)
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}

// Promise L3: the same session uses a node again that comes back.
func TestChild_ThatComesBackIsUsedAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		errs := w.outcomes(sess.Send(fake.Message("hello"), addr("b")))
		require.Equal(t, session.ReasonUnreachable, errs[0].Reason)

		w.peer("b", &sessiontest.Peer{})

		start := time.Now()
		for len(w.outcomes(sess.Send(fake.Message("hello"), addr("b")))) > 0 {
			require.Less(t, time.Since(start), 3*time.Second)
			time.Sleep(100 * time.Millisecond) // Virtual time.
		}
	})
}

// Promise R2: a lost interior node costs only itself.
func TestChild_SubtreeOfALostChildIsAdopted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		players := make([]mino.Address, 0, 15)
		leaf := &sessiontest.Peer{}

		for i := range 15 {
			name := fmt.Sprintf("n%d", i)
			players = append(players, addr(name))

			if i > 0 {
				w.peer(name, leaf)
			}
		}

		sess, _ := w.root(addr("a"), w.table(2, addr("a"), players...))

		errs := w.outcomes(sess.Send(fake.Message("hello"), players...))
		require.Equal(t, map[string]session.Reason{"grpc://n0:1": session.ReasonUnreachable}, reasons(errs))
	})
}

// Promise O1: every unreachable destination has its own error, at any height.
func TestChild_EveryUnreachableDestinationHasItsError(t *testing.T) {
	for height := 1; height <= 3; height++ {
		t.Run(strconv.Itoa(height), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				players := make([]mino.Address, 0, 20)
				for i := range 20 {
					players = append(players, addr(fmt.Sprintf("n%d", i)))
				}

				sess, _ := w.root(addr("a"), w.table(height, addr("a"), players...))

				errs := w.outcomes(sess.Send(fake.Message("hello"), players...))
				require.Len(t, errs, 20)
				require.Len(t, reasons(errs), 20)

				for dest, reason := range reasons(errs) {
					require.Equal(t, session.ReasonUnreachable, reason, dest)
				}
			})
		})
	}
}

// Promise M3: a child that does not answer costs its own destinations only. The session keeps a
// bounded number of packets and calls for it.
func TestChild_OutboxIsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := &sessiontest.Peer{OnForward: func(ctx context.Context, _ *ptypes.Packet) (*ptypes.Ack, error) {
			<-ctx.Done()

			return nil, ctx.Err()
		}}
		w.peer("b", b)
		w.peer("c", &sessiontest.Peer{})

		// The messages for d go through b as well, so nine tenths are not all of them.
		table := through{RoutingTable: w.table(1, addr("a"), addrs("b", "c", "d")...), from: addr("d"), to: addr("b")}
		sess, _ := w.root(addr("a"), table, session.WithOutboxLimits(100, 100_000))

		count := func(dest mino.Address, sends int, msg fake.Message) (overflows int) {
			for range sends {
				errs := sess.Send(msg, dest)

				select {
				case err := <-errs:
					require.Equal(t, session.ReasonOverflow, w.failure(err).Reason)
					overflows++
				default:
				}
			}

			return overflows
		}

		require.Equal(t, 19, count(addr("b"), 100, "1")) // nine tenths of nine tenths, for one source
		require.Equal(t, 1, count(addr("d"), 1, fake.Message(make([]byte, 100_000))))
		require.Equal(t, 0, count(addr("d"), 1, "1"))

		synctest.Wait()
		require.LessOrEqual(t, len(b.Forwards()), 64)
		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("c"))))
	})
}

// Promise M3: an empty outbox admits a message of any size.
func TestChild_EmptyOutboxAdmitsAnyMessage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{})
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")), session.WithOutboxLimits(1, 10))

		for range 3 {
			require.Empty(t, w.outcomes(sess.Send(fake.Message(make([]byte, 1000)), addr("b"))))
		}
	})
}

// through routes the packets for one player through another.
type through struct {
	router.RoutingTable

	from, to mino.Address
}

func (d through) Forward(packet router.Packet) (router.Routes, router.Voids) {
	routes, voids := d.RoutingTable.Forward(packet)
	if part, ok := routes[d.from]; ok {
		delete(routes, d.from)
		routes[d.to] = part
	}

	return routes, voids
}

// Promise M2: awaited messages arrive in the order of the sends, and all packets of one send
// share one identity.
func TestChild_AwaitedSendsKeepTheirOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b, c := &sessiontest.Peer{}, &sessiontest.Peer{}
		w.peer("b", b)
		w.peer("c", c)
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addrs("b", "c")...))

		for range 100 {
			require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addrs("b", "c")...)))
		}

		require.Len(t, b.Forwards(), 100)

		for i, p := range b.Forwards() {
			require.Equal(t, uint64(i+1), p.GetSequence())
			require.Equal(t, p.GetSequence(), c.Forwards()[i].GetSequence())
			require.Equal(t, p.GetOrigin(), c.Forwards()[i].GetOrigin())
			require.Len(t, p.GetOrigin(), 16)
			require.NotZero(t, p.GetHopLimit())
			// The next hop has less time than this node, so it is the one that reports.
			require.Equal(t, uint32(27_000), p.GetBudgetMs())
		}
	})
}

// The stream to a child carries the metadata that existing nodes rely on.
func TestChild_MetadataOfStream(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := &sessiontest.Peer{}
		w.peer("b", b)
		sess, _ := w.root(addr("a"), w.table(3, addr("a"), addr("b")))

		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("b"))))
		require.Len(t, b.Streams(), 1)

		md := b.Streams()[0]
		require.Equal(t, []string{"FAa:1"}, md.Get("gateway"))
		require.Equal(t, []string{"1"}, md.Get("streamid"))
		require.Equal(t, []string{"test"}, md.Get("apiuri"))
		require.Equal(t, []string{`{"Height":2,"Addresses":[]}`}, md.Get(session.HandshakeKey))
		require.Empty(t, md.Get("addr"))
	})
}

// Promise L6: a session that closes says goodbye to its children.
func TestChild_CloseEndsTheStream(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ends := make(chan error, 1)
		w.peer("b", &sessiontest.Peer{OnStream: func(stream ptypes.Overlay_StreamServer) error {
			_, err := stream.Recv()
			ends <- err

			return nil
		}})
		sess, parent := w.root(addr("a"), w.table(1, addr("a"), addr("b")))

		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("b"))))

		start := time.Now()

		sess.Close()
		require.ErrorIs(t, <-ends, io.EOF)

		// The reader of a stream ends with the stream, and the session does not own that.
		parent.End(io.EOF)
		<-sess.(session.Lifecycle).Done()
		require.Less(t, time.Since(start), time.Second)
	})
}
