package session_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/stretchr/testify/require"
)

// Promise L6: Close may be called at any moment and leaves no goroutine.
func TestQueue_CloseEndsThePumpThatNobodyReadsFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := session.NewNonBlockingQueue()
		ch := q.Channel()
		pushNumbers(t, q, 0, 3000)
		synctest.Wait()

		q.Close()
		q.Close()
		require.ErrorIs(t, q.Push(packet(0)), session.ErrClosed)

		// What is left is the part that the channel itself holds, in order.
		next := 0
		for p := range ch {
			require.Equal(t, next, numberOf(p))
			next++
		}

		require.Less(t, next, 3000)
		requireDepth(t, q, 0, 0)
	})
}

func TestQueue_ChannelOfAClosedQueueIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := session.NewNonBlockingQueue()
		pushNumbers(t, q, 0, 10)
		q.Close()

		ch := q.Channel()
		requireClosed(t, ch)
		require.Equal(t, ch, q.Channel())
		requireDepth(t, q, 0, 0)
	})
}

// Promise L6: what is queued comes first, then the cause.
func TestQueue_ClosedWithACauseGivesTheRestFirst(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")

	q := session.NewNonBlockingQueue()
	pushNumbers(t, q, 0, 200)
	q.CloseWith(first)
	q.CloseWith(second)
	require.ErrorIs(t, q.Push(packet(0)), session.ErrClosed)

	for next := range 200 {
		requirePopped(t, q, next)
	}

	for range 2 {
		_, err := q.Pop(t.Context())
		require.Equal(t, first, err)
	}
}

func TestQueue_ClosedWithACauseGivesTheChannelTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, before := range []bool{false, true} {
			q := session.NewNonBlockingQueue()
			if before {
				q.Channel()
			}

			pushNumbers(t, q, 0, 3000)
			q.CloseWith(errors.New("oops"))

			requireNumbers(t, q.Channel(), 0, 3000)
			requireClosed(t, q.Channel())
			q.Close()
		}
	})
}
