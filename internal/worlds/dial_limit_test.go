package worlds_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

// Promise L2: a session sets a bounded number of new links up at once, and the deadline of a set-up
// begins when it does: a root that dials many players at once loses none of them because the
// others had to be dialled as well.
func TestDial_BoundedNumberAtOnce(t *testing.T) {
	const (
		players = 200
		atOnce  = 56
		takes   = 6 * time.Second // Of the 10 that a set-up may take.
	)

	inWorld(t, func(t *testing.T, w *world) {
		names := make([]string, players)
		addresses := make([]mino.Address, players)

		for i := range names {
			names[i] = fmt.Sprint("p", i)
			addresses[i] = addr(names[i])
		}

		// The children, which are silent, are not lost for that meanwhile.
		sess, children := w.diallingWith([]session.Option{session.WithLiveness(time.Hour)}, addr("a"), names...)
		dialling, most := 0, 0
		turn := make(chan struct{}, 1)

		for _, child := range children {
			child.refuse = slowly(turn, &dialling, &most, takes)
		}

		parent := fake.NewRelay(session.NewOrchestratorAddress(addr("o")), nil)
		w.listen(sess, parent, w.table(1, addr("a"), addresses...))

		start := time.Now()
		sess.Send(fake.Message("hello"), addresses...)
		time.Sleep(4 * takes)
		synctest.Wait()

		for _, child := range children {
			require.Len(t, child.received(), 1)
		}

		// A child may be dialled again at this moment.
		turn <- struct{}{}

		require.Equal(t, atOnce, most)
		<-turn

		require.Less(t, time.Since(start), session.DefaultOutcomeTimeout)
	})
}

// slowly returns what lets a neighbour take its time to accept a stream, and counts how many of
// them are being dialled. The turn is their lock.
func slowly(turn chan struct{}, dialling, most *int, takes time.Duration) func(context.Context) error {
	return func(context.Context) error {
		turn <- struct{}{}
		*dialling++
		*most = max(*most, *dialling)
		<-turn

		<-time.After(takes) // Virtual time.

		turn <- struct{}{}
		*dialling--
		<-turn

		return nil
	}
}

// Promise L6: a session that ends does not wait for the turn of a child that has not been dialled. The
// children that are being dialled may have accepted, and get a second to hear a goodbye.
func TestDial_EndBeforeItsTurn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		names := make([]string, 100)
		addresses := make([]mino.Address, len(names))

		for i := range names {
			names[i] = fmt.Sprint("p", i)
			addresses[i] = addr(names[i])
		}

		sess, children := w.dialling(addr("a"), names...)
		for _, child := range children {
			child.refuse = func(ctx context.Context) error {
				<-ctx.Done()

				return ctx.Err()
			}
		}

		parent := fake.NewRelay(session.NewOrchestratorAddress(addr("o")), nil)
		w.listen(sess, parent, w.table(1, addr("a"), addresses...))

		outcomes := sess.Send(fake.Message("hello"), addresses...)

		synctest.Wait()

		start := time.Now()
		parent.End(io.EOF)
		sess.Close()
		<-sess.(session.Lifecycle).Done()
		require.Equal(t, time.Second, time.Since(start))
		require.Len(t, w.outcomes(outcomes), len(names))
	})
}
