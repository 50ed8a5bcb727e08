package session_test

import (
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Promise M1: the bounds are about what is in the queue, however much has passed
// through its channel, with a pump and without.
func TestQueue_CountsWhatItsChannelHasGivenAway(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bursts := rapid.SliceOfN(rapid.IntRange(0, 2500), 1, 10).Draw(rt, "bursts")

		synctest.Test(t, func(t *testing.T) {
			var sizes []int

			q := session.NewNonBlockingQueue()
			ch := q.Channel()
			bytes := 0

			for i, burst := range bursts {
				for range burst {
					sizes = append(sizes, burst%7+len(sizes)%50)
					bytes += sizes[len(sizes)-1] + overhead

					require.NoError(t, q.Push(fakePacket{message: make([]byte, sizes[len(sizes)-1])}))
				}

				for range len(sizes) * (i % 3) / 2 {
					require.Len(t, (<-ch).GetMessage(), sizes[0])

					bytes -= sizes[0] + overhead
					sizes = sizes[1:]
				}

				synctest.Wait()
				requireDepth(t, q, len(sizes), bytes)
			}

			q.Close()
		})
	})
}
