package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/stretchr/testify/require"
)

// Promise L5: a link that has broken has the time of the option to go on, where nobody
// answers. Values that make no sense leave the default.
func TestWithResumeTimeout_BoundsTheBreak(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		6 * time.Second: 6 * time.Second,
		-time.Second:    session.DefaultResumeTimeout,
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

// Promise R1: a packet is passed on as often as the option says, by the node that sends it
// and those that it comes to, and never more.
func TestWithHopLimit_IsOnThePackets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted(session.WithHopLimit(7), session.WithHopLimit(0))

		sess.Send(fake.Message("hello"), addr("b"))
		synctest.Wait()
		require.Len(t, root.received(), 1)
		require.EqualValues(t, 6, root.received()[0].GetHopLimit())
	})
}
