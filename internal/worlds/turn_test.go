package worlds_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// sends lets a session send some messages to a node.
func (w *world) sends(sess session.Session, n int, to mino.Address) {
	for range n {
		sess.Send(fake.Message("hello"), to)
	}

	synctest.Wait()
}

// Promise M4: a child moves all that has no outcome to its other parent at once when the one that
// it uses is cut, in order and before anything newer. It stays there when the first one is whole.
func TestTurn_CutParentIsLeft(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, first, second := w.twice()

		w.sends(sess, 20, addr("z"))
		second.deliver(second.received()[:5]...)
		second.turn(true)
		require.Len(t, first.sequences(), 15)

		w.sends(sess, 5, addr("z"))
		second.turn(false)
		w.sends(sess, 5, addr("z"))

		want := make([]uint64, 0, 25)
		for sequence := uint64(6); sequence <= 30; sequence++ {
			want = append(want, sequence)
		}

		require.Equal(t, want, first.sequences())
		require.Len(t, second.sequences(), 20)

		// What the cut parent says about its copies later is no news.
		second.deliver(second.received()[5:]...)
		synctest.Wait()
		require.Equal(t, 2, sess.GetNumParents())

		// Now the other one is cut, and the first is used again.
		first.turn(true)
		require.Equal(t, want, second.sequences()[20:])
	})
}

// Promise M4: a child whose parents are all cut waits, and moves when one of them is whole.
func TestTurn_WithoutAnotherWayTheChildWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, first, second := w.twice()

		first.turn(true)
		second.turn(true)
		w.sends(sess, 20, addr("z"))
		require.Empty(t, first.sequences())
		require.Len(t, second.sequences(), 20)

		first.turn(false)
		requireCounted(t, 20, first.sequences())
	})
}

// Promise M4: a node that adopts another has lost the parent of that, even if the child does not
// know it yet. What has no outcome moves to the new parent before anything newer.
func TestTurn_AdoptionMovesWhatWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		first := w.parent(sess, addr("p0"), w.table(1, addr("a")))
		w.sends(sess, 20, addr("z"))

		second := w.parent(sess, addr("p1"), w.table(1, addr("a")))
		w.sends(sess, 20, addr("z"))
		requireCounted(t, 40, second.sequences())
		require.Len(t, first.sequences(), 20)
	})
}

// Promise M4: what has an outcome does not move, and a message has one outcome however many copies
// of it there are.
func TestTurn_OneOutcomeForAllCopies(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, first, second := w.twice()
		errs := sess.Send(fake.Message("hello"), addrs("x", "y")...)

		synctest.Wait()
		second.feed(receipts(&ptypes.Receipt{ParcelId: second.received()[0].GetId(), Reached: []uint32{0}}))
		second.turn(true)
		require.Len(t, first.received(), 1)

		// The copy at the cut parent fails, and the other one arrives.
		second.feed(receipts(&ptypes.Receipt{
			ParcelId: second.received()[0].GetId(), Last: true,
			Failures: failures("y", ptypes.Reason_REASON_TIMEOUT, "lost"),
		}))
		synctest.Wait()
		first.deliver(first.received()...)
		require.Empty(t, w.outcomes(errs))
	})
}

// Promise M4: a packet for a parent that is there goes straight to it, whatever parent is used: the
// node above may have lost it.
func TestTurn_ParentIsTheWayToItself(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, first, second := w.twice()

		sess.Send(fake.Message("hello"), addrs("z", "p0", "p1")...)
		synctest.Wait()
		require.Len(t, first.received(), 1)
		require.Len(t, second.received(), 1)

		// That parent breaks, and what waits for it takes the other way.
		first.lose()
		require.Len(t, second.received(), 2)

		// It comes back, and has its packets again.
		require.True(t, first.tryDial())
		synctest.Wait()
		w.sends(sess, 1, addr("p0"))
		require.Len(t, second.received(), 2)
	})
}

// Promise M2: a session that must not send a message twice leaves what may have left.
func TestTurn_WithoutRetryNothingIsSentTwice(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, first, second := w.twice(session.WithoutRetry())
		errs := sess.Send(fake.Message("hello"), addr("z"))

		synctest.Wait()
		second.turn(true)
		require.Empty(t, first.sequences())
		w.sends(sess, 1, addr("z"))
		require.Equal(t, []uint64{2}, first.sequences())

		second.deliver(second.received()...)
		require.Empty(t, w.outcomes(errs))
	})
}

// Promise M4: a node tells its children at once that it is cut off, and that it is whole again. A
// child to which a link is opened meanwhile is told as well, and a break loses nothing of it.
func TestTurn_ChildrenAreTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, children := w.dialling(addr("a"), "b", "c", "d")
		children["d"].plain = true
		parent := w.parent(sess, addr("p"), w.table(2, addr("a"), addrs("b", "c", "d")...))
		w.sends(sess, 1, addr("b"))
		w.sends(sess, 1, addr("d"))

		start := time.Now()

		parent.lose()
		w.sends(sess, 1, addr("c"))
		require.Equal(t, []bool{true}, children["b"].heard())
		require.Equal(t, []bool{true}, children["c"].heard())

		// A second parent is a way.
		other := w.parent(sess, addr("q"), w.table(2, addr("a"), addrs("b", "c", "d")...))

		synctest.Wait()
		require.Equal(t, []bool{true, false}, children["b"].heard())

		// It may be cut, too.
		other.turn(true)
		require.Equal(t, []bool{true, false, true}, children["b"].heard())

		children["c"].current().End(errLost)
		other.turn(false)
		require.Zero(t, time.Since(start))
		time.Sleep(time.Second) // Virtual time, for another stream.
		require.Equal(t, []bool{true, false, true, false}, children["b"].heard())
		require.Equal(t, []bool{true, false, true, false}, children["c"].heard())

		// Who does not understand it is not told.
		require.Empty(t, children["d"].heard())
	})
}

// Promise M4: nobody else leads to an orchestrator. The root is never cut.
func TestTurn_RootIsNeverCut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, children := w.dialling(addr("a"), "b")
		parent := w.parent(sess, session.NewOrchestratorAddress(addr("o")), w.table(2, addr("a"), addr("b")))
		w.sends(sess, 1, addr("b"))
		parent.lose()
		require.Empty(t, children["b"].heard())
	})
}

// Promise M4: when a node gets another table with a parent, what waits for a child takes the way of
// that table before anything newer does.
func TestTurn_NewTableMovesWhatWaitsForAChild(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, children := w.dialling(addr("a"), "b", "c")
		w.parent(sess, addr("p0"), w.table(2, addr("a"), addrs("b", "c")...))
		w.sends(sess, 10, addr("b"))

		// The new parent says that there is nobody below but c.
		next := w.parent(sess, addr("p1"), w.table(2, addr("a"), addr("c")))
		w.sends(sess, 10, addr("b"))
		require.Len(t, children["b"].sequences(), 10)
		requireCounted(t, 20, next.sequences())
	})
}

// Promise S2: a child cannot tell its parent where to send, and nobody gains anything by saying
// that his way changes all the time.
func TestTurn_OnlyAParentIsHeard(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, children := w.dialling(addr("a"), "b")
		w.parent(sess, addr("p0"), w.table(2, addr("a"), addr("b")))
		second := w.parent(sess, addr("p1"), w.table(2, addr("a"), addr("b")))
		w.sends(sess, 1, addr("b"))

		children["b"].turn(true)
		w.sends(sess, 1, addr("z"))
		require.Len(t, second.sequences(), 1)

		for i := range 1000 {
			second.turn(i%2 == 0)
		}

		w.sends(sess, 1, addr("z"))
		require.Len(t, second.sequences(), 1, fmt.Sprint(second.sequences()))
	})
}
