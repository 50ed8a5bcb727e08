package session_test

import (
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
