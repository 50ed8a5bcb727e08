package worlds_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// Promise L5: the option bounds how long a broken link may take to go on when nobody answers.
// Values that make no sense leave the default.
func TestWithResumeTimeout_BoundsTheBreak(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		6 * time.Second: 6 * time.Second,
		math.MaxInt64:   session.MaxTimeout,
		// Nobody takes the place of a root.
		-time.Second: session.DefaultLiveness,
	} {
		t.Run(timeout.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess, root := w.rooted(session.WithResumeTimeout(timeout))
				root.refuse = func(ctx context.Context) error {
					<-ctx.Done()

					return ctx.Err()
				}

				synctest.Wait()

				start := time.Now()

				root.current().End(errLost)

				_, _, err := sess.Recv(t.Context())
				require.ErrorIs(t, err, errLost)
				require.Equal(t, want, time.Since(start))
			})
		})
	}
}

// Promise R1: the option bounds how many nodes pass a packet on, the sender included.
func TestWithHopLimit_IsOnThePackets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted(session.WithHopLimit(7), session.WithHopLimit(0))

		sess.Send(fake.Message("hello"), addr("b"))
		synctest.Wait()
		require.Len(t, root.received(), 1)
		require.EqualValues(t, 6, root.received()[0].GetHopLimit())
	})
}

// forever returns each option that sets a time, with the longest time that there is.
func forever() map[string]session.Option {
	return map[string]session.Option{
		"setup":   session.WithSetupTimeout(math.MaxInt64),
		"outcome": session.WithOutcomeTimeout(math.MaxInt64),
		"silence": session.WithLiveness(math.MaxInt64),
		"resume":  session.WithResumeTimeout(math.MaxInt64),
		"grace":   session.WithAdoptionGrace(math.MaxInt64),
	}
}

// Promise O1: a node with an absurdly long time still delivers the packets of others and its
// own.
func TestOptions_TheLongestTimesFailNothing(t *testing.T) {
	for name, opt := range forever() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.peer("b", new(sessiontest.Peer))
				sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")), opt)

				own := w.packet(addr("z"), addr("b"))
				asking := w.packet(addr("z"), addr("b"))
				asking.Origin, asking.Sequence, asking.HopLimit = []byte("0123456789abcdef"), 1, 9
				asking.BudgetMs = math.MaxUint32

				for _, p := range []*ptypes.Packet{own, asking} {
					ack, err := sess.RecvPacket(addr("z"), p)
					require.NoError(t, err)
					require.Empty(t, ack.GetErrors())
				}

				require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("b"))))
			})
		})
	}
}

// Promise O1: a session waits a day at most for an outcome of its own.
func TestWithOutcomeTimeout_IsADayAtMost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.peer("b", &sessiontest.Peer{OnForward: sessiontest.NeverAck})
		sess, _ := w.root(addr("a"), w.table(1, addr("a"), addr("b")), session.WithOutcomeTimeout(math.MaxInt64))

		start := time.Now()
		errs := w.outcomes(sess.Send(fake.Message("hello"), addr("b")))
		require.Equal(t, map[string]session.Reason{"grpc://b:1": session.ReasonTimeout}, reasons(errs))
		require.Equal(t, session.MaxTimeout, time.Since(start))
	})
}
