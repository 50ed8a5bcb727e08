package worlds_test

import (
	"context"
	"io"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// requireArrived reads the messages of z. Their sequences must be exactly these.
func (w *world) requireArrived(sess session.Session, sequences ...uint64) {
	for _, sequence := range sequences {
		_, got := w.recv(sess)
		require.Equal(w, strconv.FormatUint(sequence, 10), string(got))
	}

	ctx, cancel := context.WithTimeout(w.Context(), time.Millisecond)
	defer cancel()

	_, msg, err := sess.Recv(ctx)
	require.ErrorIs(w, err, context.DeadlineExceeded, "there is also %v", msg)
}

// Promise L5: a broken link goes on over another stream. Recv does not end, and nothing is lost
// or comes twice, in either direction.
// Promise L6: the Listen of the previous stream returns.
func TestResume_NothingIsLostOrComesTwice(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		parent := w.parent(sess, addr("p"), w.table(1, addr("a")))

		for round := range 5 {
			id := uint64(2*round + 1)
			parent.send(id, addr("a"))

			before := sess.Send(fake.Message("before the break"), addr("z"))

			synctest.Wait()
			parent.current().End(errLost)
			synctest.Wait()
			require.Equal(t, 1, sess.GetNumParents())

			during := sess.Send(fake.Message("during the break"), addr("z"))
			// This frame is on its way when the stream breaks.
			parent.sent = append(parent.sent, &ptypes.Packet{
				Frame: uint64(len(parent.sent) + 1), Parcels: []*ptypes.Parcel{parent.parcel(id+1, addr("a"))},
			})

			time.Sleep(time.Second) // Virtual time.

			_, ok := parent.dial()
			require.True(t, ok)
			w.requireArrived(sess, id, id+1)

			parent.deliver(parent.received()[2*round:]...)
			require.Empty(t, w.outcomes(before))
			require.Empty(t, w.outcomes(during))
		}

		requireCounted(t, 10, parent.sequences())
		require.Zero(t, parent.repeats)
		require.Len(t, parent.verdicts(), 10)
	})
}

// Promise L5: the session repeats what the neighbour has not received, before anything new.
func TestResume_WhatWasNotReceivedComesAgainInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()

		for range 3 {
			sess.Send(fake.Message("hello"), addr("b"))
			synctest.Wait()
		}

		// The neighbour has read the first of three frames, but has not confirmed it.
		require.Len(t, root.frames(), 3)
		root.mu.Lock()
		root.got = root.got[:1]
		root.mu.Unlock()

		sent := make(chan struct{})
		root.refuse = func(context.Context) error {
			<-sent

			return nil
		}

		root.current().End(errLost)
		synctest.Wait()
		sess.Send(fake.Message("hello"), addr("b"))
		close(sent)
		synctest.Wait()

		require.Equal(t, []uint64{1, 2}, root.offers)
		requireCounted(t, 4, root.sequences())
		require.Zero(t, root.repeats)
	})
}

// Promise L5: a stream continues a link only if it is the next one of that link, offers
// possible numbers, and comes from the same neighbour.
// Promise S2: nobody else can replace a parent.
func TestResume_OnlyTheNextStreamOfTheSameLinkGoesOn(t *testing.T) {
	cases := map[string]struct {
		gw              mino.Address
		link            string
		epoch, received uint64
		ok              bool
	}{
		"next":              {gw: addr("p"), epoch: 3, received: 1, ok: true},
		"later":             {gw: addr("p"), epoch: 9, received: 1, ok: true},
		"other gateway":     {gw: addr("q"), epoch: 3, received: 1},
		"as orchestrator":   {gw: session.NewOrchestratorAddress(addr("p")), epoch: 3, received: 1},
		"other link":        {gw: addr("p"), link: "00112233445566778899aabbccddeeff", epoch: 3, received: 1},
		"same stream":       {gw: addr("p"), epoch: 2, received: 1},
		"never sent":        {gw: addr("p"), epoch: 3, received: 3},
		"said before":       {gw: addr("p"), epoch: 3, received: 0},
		"largest of all":    {gw: addr("p"), epoch: 3, received: 1<<64 - 1},
		"largest of epochs": {gw: addr("p"), epoch: 1<<64 - 1, received: 1, ok: true},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess := w.session(addr("a"))
				parent := w.parent(sess, addr("p"), w.table(1, addr("a")))
				parent.dial()
				sess.Send(fake.Message("hello"), addr("z"))
				synctest.Wait()
				parent.send(1, addr("a")) // With it the session learns that its frame has come.
				parent.current().End(errLost)
				synctest.Wait()

				id := parent.id
				if tc.link != "" {
					parent.id = tc.link
				}

				_, ok := parent.dialAs(tc.gw, tc.epoch, tc.received)
				require.Equal(t, tc.ok, ok)

				// A refused stream has changed nothing.
				parent.id, parent.epoch = id, 9
				_, again := parent.dial()
				require.Equal(t, tc.epoch < 10, again)
				w.requireArrived(sess, 1)
			})
		})
	}
}

// Promise L5: a parent is lost when it does not come back within its grace. The session then
// ends with the cause, and Send reports what waits.
func TestResume_GraceEnds(t *testing.T) {
	for gw, grace := range map[mino.Address]time.Duration{
		addr("p"): session.DefaultAdoptionGrace,
		// No other node becomes the orchestrator.
		session.NewOrchestratorAddress(addr("o")): session.DefaultLiveness,
	} {
		t.Run(gw.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				sess := w.session(addr("a"))
				parent := w.parent(sess, gw, w.table(1, addr("a")))
				start := time.Now()

				parent.current().End(errLost)
				synctest.Wait()

				errs := sess.Send(fake.Message("hello"), gw)

				_, _, err := sess.Recv(t.Context())
				require.ErrorIs(t, err, errLost)
				require.Equal(t, grace, time.Since(start))
				require.Equal(t, session.ReasonUnreachable, w.outcomes(errs)[0].Reason)

				_, ok := parent.dial()
				require.False(t, ok)
			})
		})
	}
}

// Promise L5: the grace ends when a parent comes back in time.
func TestResume_EndsTheGrace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		parent := w.parent(sess, addr("p"), w.table(1, addr("a")))

		parent.current().End(errLost)
		time.Sleep(session.DefaultAdoptionGrace - time.Nanosecond)

		_, ok := parent.dial()
		require.True(t, ok)
		parent.live()
		time.Sleep(time.Minute)
		require.Equal(t, 1, sess.GetNumParents())

		// The next break has its own grace.
		parent.current().End(errLost)
		time.Sleep(session.DefaultAdoptionGrace - time.Nanosecond)
		require.Equal(t, 1, sess.GetNumParents())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Zero(t, sess.GetNumParents())
	})
}

// Promise L5: another parent may adopt the session during the grace. It gets what waits, and
// the session forgets the previous one.
// Promise M2: messages arrive in order and at most once across the adoption.
func TestResume_AdoptionTakesThePlaceOfALostParent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		first := w.parent(sess, addr("p"), w.table(1, addr("a")))

		first.send(1, addr("a"))
		first.send(2, addr("a"))

		unanswered := sess.Send(fake.Message("unanswered"), addr("z"))

		synctest.Wait()
		first.current().End(errLost)
		synctest.Wait()

		alone := sess.Send(fake.Message("while it is alone"), addr("z"))
		second := w.parent(sess, addr("r"), w.table(1, addr("a")))
		adopted := sess.Send(fake.Message("at last"), addr("z"))

		synctest.Wait()
		require.Equal(t, 1, sess.GetNumParents())
		requireCounted(t, 3, second.sequences())

		second.deliver(second.received()...)
		require.Empty(t, w.outcomes(unanswered))
		require.Empty(t, w.outcomes(alone))
		require.Empty(t, w.outcomes(adopted))

		// The adopter repeats the messages that the first parent has no answer for.
		for _, sequence := range []uint64{2, 3, 4} {
			second.send(sequence, addr("a"))
		}

		w.requireArrived(sess, 1, 2, 3, 4)

		_, ok := first.dial()
		require.False(t, ok)
	})
}

// Promise L4: when one of two parents breaks, the session uses the other at once. It sends what
// the first has not answered there, in the order of the sends.
func TestResume_OtherParentIsUsedAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		other := w.parent(sess, addr("q"), w.table(1, addr("a")))
		newest := w.parent(sess, addr("p"), w.table(1, addr("a")))
		start := time.Now()

		for range 20 {
			sess.Send(fake.Message("hello"), addr("z"))
		}

		synctest.Wait()
		require.Len(t, newest.sequences(), 20)
		newest.current().End(errLost)
		synctest.Wait()

		for range 20 {
			sess.Send(fake.Message("hello"), addr("z"))
		}

		synctest.Wait()
		require.Zero(t, time.Since(start))
		requireCounted(t, 20, other.sequences()[:20])
		require.Equal(t, 2, sess.GetNumParents())

		// When the first parent is back, the session stays with the other.
		_, ok := newest.dial()
		require.True(t, ok)

		for range 3 {
			before := len(other.sequences())
			sess.Send(fake.Message("hello"), addr("z"))
			synctest.Wait()
			require.Len(t, other.sequences(), before+1)
			time.Sleep(time.Second) // Virtual time.
		}
	})
}

// Promise L6: a session that closes while its link is broken, or is being resumed, waits for
// nothing and reports what waited.
func TestResume_CloseWhileBroken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()
		root.refuse = func(ctx context.Context) error {
			<-ctx.Done()

			return ctx.Err()
		}

		root.current().End(errLost)
		synctest.Wait()

		start := time.Now()
		errs := sess.Send(fake.Message("hello"), addr("b"))

		sess.Close()
		<-sess.(session.Lifecycle).Done()
		require.LessOrEqual(t, time.Since(start), time.Second)
		require.Equal(t, session.ReasonClosed, w.outcomes(errs)[0].Reason)
	})
}

// Promise L6: both ends may say goodbye at once.
func TestResume_GoodbyeFromBothEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		parent := w.parent(sess, addr("p"), w.table(1, addr("a")))
		start := time.Now()

		go sess.Close()

		parent.feed(&ptypes.Packet{Goodbye: true})
		<-sess.(session.Lifecycle).Done()
		require.Zero(t, time.Since(start))

		_, _, err := sess.Recv(t.Context())
		require.ErrorIs(t, err, io.EOF)
	})
}

// Promise L5: a stream that ends without a goodbye is a break, also when its status is fine.
// The parent has the whole grace to come back.
func TestResume_EndWithoutAGoodbyeIsABreak(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		parent := w.parent(sess, addr("p"), w.table(1, addr("a")))

		parent.current().End(io.EOF)
		time.Sleep(session.DefaultAdoptionGrace - time.Millisecond) // Virtual time.
		require.Equal(t, 1, sess.GetNumParents())

		_, ok := parent.dial()
		require.True(t, ok)
		parent.send(1, addr("a"))
		w.requireArrived(sess, 1)
	})
}
