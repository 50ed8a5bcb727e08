package worlds_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A resume replaces the previous stream even while that one still delivers. What comes over the
// old stream later does not count, and its teardown changes nothing.
func TestResume_StreamBeforeStillDelivers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		parent := w.parent(sess, addr("p"), w.table(1, addr("a")))
		before := parent.current()
		parent.send(1, addr("a"))

		returned, ok := parent.dial()
		require.True(t, ok)

		// Its number makes it the next frame, but it comes over the old stream.
		stray := parent.parcel(99, addr("a"))
		before.Feed(&ptypes.Packet{Frame: 2, Parcels: []*ptypes.Parcel{stray}})
		parent.send(2, addr("a"))
		before.End(errLost)
		synctest.Wait()

		select {
		case <-returned:
			t.Fatal("the teardown of the stream before has ended the new one")
		default:
		}

		require.Equal(t, 1, sess.GetNumParents())
		parent.send(3, addr("a"))
		w.requireArrived(sess, 1, 2, 3)
		parent.live()
		time.Sleep(time.Minute)
		require.Equal(t, 1, sess.GetNumParents())
	})
}

// A parent's grace ends at the moment when another parent adopts the session and the lost one
// comes back. The session goes on or is closed, and every send is settled.
func TestResume_GraceAgainstAdoption(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for range 20 {
			sess := w.session(addr("a"))
			first := w.parent(sess, addr("p"), w.table(1, addr("a")))
			second := w.stranger(sess, addr("r"), w.table(1, addr("a")))

			first.current().End(errLost)
			synctest.Wait()

			errs := sess.Send(fake.Message("hello"), addr("z"))

			time.Sleep(session.DefaultAdoptionGrace)

			adopted := make(chan bool)

			go func() { adopted <- second.tryDial() }()

			first.tryDial()

			// A parent that comes back at that moment may find the session ending.
			if goesOn := <-adopted; goesOn {
				require.Positive(t, sess.GetNumParents())
				sess.Close()
			}

			synctest.Wait()
			require.LessOrEqual(t, len(w.outcomes(errs)), 1)
			sess.Close()
			<-sess.(session.Lifecycle).Done()
		}
	})
}

// A child is lost while somebody sends.
// Promise M2: un-awaited messages keep their order across a re-route: the new route does not
// overtake what waits for the old one.
// Promise L3: the session routes unsettled packets again.
func TestResume_RerouteAgainstSend(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, children := w.dialling(addr("a"), "b", "c")
		gateways := addrs("b", "c")
		w.listen(sess, fake.NewRelay(session.NewOrchestratorAddress(addr("o")), nil),
			&detour{RoutingTable: w.table(1, addr("a"), gateways...), gateways: gateways})

		sess.Send(fake.Message("hello"), addr("z"))
		synctest.Wait()
		require.Len(t, children["b"].sequences(), 1)

		children["b"].refuse = func(context.Context) error { return status.Error(codes.FailedPrecondition, "gone") }

		go children["b"].current().End(errLost)

		for range 999 {
			sess.Send(fake.Message("hello"), addr("z"))
		}

		synctest.Wait()
		requireCounted(t, 1000, children["c"].sequences())

		before := children["b"].sequences()
		requireCounted(t, len(before), before)
	})
}
