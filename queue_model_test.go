package session_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Promise M1: against the simplest queue there is.
func TestQueue_BehavesAsASlice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		maxPackets := rapid.IntRange(1, 300).Draw(rt, "maxPackets")
		maxBytes := rapid.IntRange(1, 1000).Draw(rt, "maxBytes")
		model := &queueModel{
			q:          session.NewNonBlockingQueue(session.WithMaxPackets(maxPackets), session.WithMaxBytes(maxBytes)),
			maxPackets: maxPackets,
			maxBytes:   maxBytes,
		}

		rt.Repeat(map[string]func(*rapid.T){
			"push":  model.push,
			"burst": model.burst,
			"pop":   model.pop,
			"drain": model.drain,
			"close": model.close,
			"":      model.check,
		})
	})
}

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
					bytes += sizes[len(sizes)-1]

					require.NoError(t, q.Push(fakePacket{message: make([]byte, sizes[len(sizes)-1])}))
				}

				for range len(sizes) * (i % 3) / 2 {
					require.Len(t, (<-ch).GetMessage(), sizes[0])

					bytes -= sizes[0]
					sizes = sizes[1:]
				}

				synctest.Wait()
				requireDepth(t, q, len(sizes), bytes)
			}

			q.Close()
		})
	})
}

// queueModel does to a slice what it does to a queue.
type queueModel struct {
	q                           *session.NonBlockingQueue
	maxPackets, maxBytes, bytes int
	packets                     [][]byte
	closed                      bool
}

func (m *queueModel) push(rt *rapid.T) {
	m.pushOne(rt, make([]byte, rapid.IntRange(0, 50).Draw(rt, "size")))
}

func (m *queueModel) burst(rt *rapid.T) {
	for range rapid.IntRange(1, 200).Draw(rt, "count") {
		m.pushOne(rt, []byte{byte(len(m.packets))})
	}
}

func (m *queueModel) pushOne(rt *rapid.T, message []byte) {
	full := len(m.packets) >= m.maxPackets || m.bytes+len(message) > m.maxBytes
	err := m.q.Push(fakePacket{message: message})

	switch {
	case m.closed:
		require.ErrorIs(rt, err, session.ErrClosed)
	case full && len(m.packets) > 0:
		require.ErrorIs(rt, err, session.ErrQueueFull)
	default:
		require.NoError(rt, err)

		m.packets = append(m.packets, message)
		m.bytes += len(message)
	}
}

func (m *queueModel) pop(rt *rapid.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()

	p, err := m.q.Pop(ctx)

	switch {
	case len(m.packets) > 0:
		require.NoError(rt, err)
		require.Equal(rt, m.packets[0], p.GetMessage())

		m.bytes -= len(m.packets[0])
		m.packets = m.packets[1:]
	case m.closed:
		require.Equal(rt, io.EOF, err)
	default:
		require.Equal(rt, context.Canceled, err)
	}
}

func (m *queueModel) drain(rt *rapid.T) {
	for len(m.packets) > 0 {
		m.pop(rt)
	}
}

func (m *queueModel) close(rt *rapid.T) {
	// Seldom, or little else would ever happen.
	if rapid.IntRange(0, 9).Draw(rt, "close") == 0 {
		m.q.CloseWith(nil)
		m.closed = true
	}
}

func (m *queueModel) check(rt *rapid.T) {
	requireDepth(rt, m.q, len(m.packets), m.bytes)
}
