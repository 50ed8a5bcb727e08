package worlds_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// refused is the answer of a neighbour that has forgotten the link.
func refused(context.Context) error {
	return status.Error(codes.FailedPrecondition, "the stream has ended")
}

// Promise L1: each end of an idle link sends a sign of life every third of the bound, and the
// link lasts.
func TestSilence_IdleLinksGiveSignsOfLife(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, root := w.rooted(session.WithLiveness(3 * time.Second))
		sess := w.session(addr("a"), session.WithLiveness(3*time.Second))
		parent := w.parent(sess, addr("p"), w.table(1, addr("a")))
		root.live()
		parent.live()

		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 1, sess.GetNumParents())
		require.InDelta(t, 60, root.signs, 1)
		require.InDelta(t, 60, parent.signs, 1)
		require.Empty(t, root.frames())
		require.Empty(t, parent.frames())
	})
}

// Promise L1: a session notices a silent neighbour within the bound, whether the link is idle
// or not. It opens another stream, and loses the neighbour when that is silent, too.
// Promise L7: that ends the session of an orchestrator, and Recv says why.
func TestSilence_OfTheRootIsTheEnd(t *testing.T) {
	for name, busy := range map[string]bool{"idle": false, "busy": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess, root := w.rooted()
				start := time.Now()

				if busy {
					go func() {
						for sess.GetNumParents() > 0 {
							sess.Send(fake.Message("hello"), addr("b"))
							time.Sleep(100 * time.Millisecond)
						}
					}()
				}

				_, _, err := sess.Recv(t.Context())
				require.ErrorContains(t, err, "silent")
				require.Equal(t, 2*session.DefaultLiveness, time.Since(start))
				require.Equal(t, []uint64{1, 2}, root.offers)
				time.Sleep(time.Second)
			})
		})
	}
}

// Promise L1: a session notices a silent parent within the bound. The parent may come back
// until its grace is over. What it says on the previous stream does not count.
// Promise L5: the session goes on meanwhile.
func TestSilence_OfAParentIsABreak(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		broken := make(chan time.Time, 1)
		sess := w.session(addr("a"), session.WithObserver(session.Observer{
			RelayBroken: func(session.StreamInfo, mino.Address, error) { broken <- time.Now() },
		}))
		parent := w.parent(sess, addr("p"), w.table(1, addr("a")))
		start := time.Now()

		require.Equal(t, session.DefaultLiveness, (<-broken).Sub(start))

		stream := parent.current()
		stream.Feed(&ptypes.Packet{Frame: 1, Parcels: []*ptypes.Parcel{parent.parcel(99, addr("a"))}})
		errs := sess.Send(fake.Message("hello"), addr("z"))

		_, ok := parent.dial()
		require.True(t, ok)
		parent.send(1, addr("a"))
		w.requireArrived(sess, 1)
		parent.deliver(parent.received()...)
		require.Empty(t, w.outcomes(errs))
	})
}

// Promise L1: a session notices a silent child within the bound, and gives up the connection, which
// may only look alive. If it cannot open another stream in time, the child is lost, and the session
// sends what the child has not answered another way.
func TestSilence_OfAChildIsALoss(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, children := w.dialling(addr("a"), "b", "c")
		w.listen(sess, fake.NewRelay(session.NewOrchestratorAddress(addr("o")), nil),
			&detour{RoutingTable: w.table(1, addr("a"), addrs("b", "c")...), gateways: addrs("b", "c")})

		children["b"].refuse = func(context.Context) error {
			if len(children["b"].offers) == 1 {
				return nil
			}

			return errors.New("no connection")
		}

		const within = session.DefaultLiveness + session.DefaultResumeTimeout

		start := time.Now()
		errs := sess.Send(fake.Message("hello"), addr("z"))

		time.Sleep(within)
		synctest.Wait()
		require.Len(t, children["c"].received(), 1)
		children["c"].feed(&ptypes.Packet{Delivered: []uint64{1}})
		require.Empty(t, w.outcomes(errs))
		require.Equal(t, within, time.Since(start))
		require.Equal(t, []int{1, 0}, []int{children["b"].evicted, children["c"].evicted})
	})
}

// Promise L7: when the link to the root cannot go on, the orchestrator's Recv returns the cause
// within the time of a resume.
func TestLoss_OfTheRootIsTheEnd(t *testing.T) {
	unreachable := errors.New("no connection")

	cases := map[string]struct {
		refuse func(context.Context) error
		within time.Duration
		probes int
	}{
		"the root is gone": {refused, 0, 1},
		// After 0, 50, 150, 350 and 750 ms, and each 500 ms after that.
		"unreachable": {func(context.Context) error { return unreachable }, session.DefaultLiveness, 26},
		"no answer": {func(ctx context.Context) error {
			<-ctx.Done()

			return ctx.Err()
		}, session.DefaultLiveness, 4},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess, root := w.rooted()
				root.refuse = tc.refuse
				root.send(1, session.NewOrchestratorAddress(addr("o")))
				errs := sess.Send(fake.Message("hello"), addr("b"))

				synctest.Wait()

				start := time.Now()

				root.current().End(errLost)

				failed := w.outcomes(errs)
				require.Equal(t, session.ReasonTimeout, failed[0].Reason)
				require.ErrorIs(t, failed[0], errLost)

				// Recv returns the received messages first.
				w.recv(sess)

				_, _, err := sess.Recv(t.Context())
				require.ErrorIs(t, err, errLost)
				require.LessOrEqual(t, time.Since(start), tc.within)
				require.Len(t, root.offers, 1+tc.probes)
			})
		})
	}
}

// Promise L7: Recv returns the status that ends the root's stream after its goodbye. Without a
// status the end is clean.
func TestLoss_GoodbyeOfTheRootSaysWhy(t *testing.T) {
	for name, cause := range map[string]error{
		"clean":              io.EOF,
		"its handler failed": status.Error(codes.Aborted, "the handler failed"),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess, root := w.rooted()
				root.feed(&ptypes.Packet{Goodbye: true})
				root.current().End(cause)

				_, _, err := sess.Recv(t.Context())
				require.ErrorIs(t, err, cause)
				require.Equal(t, []uint64{1}, root.offers)
			})
		})
	}
}

// Promise L4: a parent that has said goodbye is no parent any more, whenever its stream ends.
// What it has not answered goes to another one. The session ends cleanly with its last parent.
func TestLoss_GoodbyeOfAParentEndsIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		first := w.parent(sess, addr("p"), w.table(1, addr("a")))
		second := w.parent(sess, addr("q"), w.table(1, addr("a")))
		start := time.Now()
		errs := sess.Send(fake.Message("hello"), addr("z"))

		synctest.Wait()
		second.feed(&ptypes.Packet{Goodbye: true})
		synctest.Wait()
		require.Equal(t, 1, sess.GetNumParents())
		require.Equal(t, []uint64{1}, first.sequences())

		first.feed(&ptypes.Packet{Goodbye: true})

		_, _, err := sess.Recv(t.Context())
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, session.ReasonTimeout, w.outcomes(errs)[0].Reason)
		require.Zero(t, time.Since(start))
	})
}

// Promise L6: a session that closes says goodbye after its last packet, and waits a moment for
// the end of the stream.
func TestLoss_CloseSaysGoodbyeLast(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()
		sess.Send(fake.Message("last words"), addr("b"))
		sess.Close()
		<-sess.(session.Lifecycle).Done()
		require.Len(t, root.received(), 1)
		require.Equal(t, 1, root.goodbyes)
	})
}

// A neighbour that breaks the rules of a link ends it at once.
func TestLoss_BrokenRulesAreTheEnd(t *testing.T) {
	cases := map[string]*ptypes.Packet{
		"a gap":                  {Frame: 2, Delivered: []uint64{1}},
		"a frame far ahead":      {Frame: 1<<64 - 1, Delivered: []uint64{1}},
		"received never sent":    {Received: 1},
		"a parcel without an id": {Frame: 1, Parcels: []*ptypes.Parcel{{Body: []byte("x")}}},
		"chunks that are not":    {Frame: 1, Parcels: []*ptypes.Parcel{{Id: 1, Chunked: 7}}},
		"a chunk in the middle":  {Frame: 1, Chunks: []*ptypes.Chunk{{Id: 1, Offset: 5, Data: []byte("x")}}},
	}

	for name, frame := range cases {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess, root := w.rooted()
				root.current().Feed(frame)

				_, _, err := sess.Recv(t.Context())
				require.ErrorContains(t, err, "breaks the rules of the link")
				require.Equal(t, []uint64{1}, root.offers)
			})
		})
	}
}
