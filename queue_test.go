package session_test

import (
	"encoding/binary"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
)

// Promise M1: first in, first out, whatever is read in between.
func TestQueue_ChannelKeepsTheOrderAcrossABacklog(t *testing.T) {
	for range 200 {
		q := session.NewNonBlockingQueue()
		ch := q.Channel()

		pushNumbers(t, q, 0, 10)
		requireNumbers(t, ch, 0, 1)

		pushNumbers(t, q, 10, 11)
		requireNumbers(t, ch, 1, 11)

		q.Close()
	}
}

// Promise M1: whoever keeps the channel and only receives gets everything.
func TestQueue_ChannelKeptFromBeforeTheBurstsGivesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const burst = 3000

		q := session.NewNonBlockingQueue()
		pushNumbers(t, q, 0, burst)

		ch := q.Channel()

		// Each round leaves a pump at work to the next.
		for next := burst; next < 4*burst; next += burst {
			pushNumbers(t, q, next, next+burst)
			requireNumbers(t, ch, next-burst, next)
			synctest.Wait()
			requireDepth(t, q, burst, burst*packetSize)
		}

		requireNumbers(t, ch, 3*burst, 4*burst)
		synctest.Wait()

		q.Close()
		requireClosed(t, ch)
	})
}

// Promise M1: Push does not wait for a reader, with the channel in use or not.
func TestQueue_PushNeverBlocks(t *testing.T) {
	for _, withChannel := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			q := session.NewNonBlockingQueue(session.WithMaxPackets(5000))
			if withChannel {
				q.Channel()
			}

			pushNumbers(t, q, 0, 5000)
			require.ErrorIs(t, q.Push(packet(5000)), session.ErrQueueFull)
			requireDepth(t, q, 5000, 5000*packetSize)

			q.Close()
		})
	}
}

// Promise M1: the memory of what has been read goes back while the rest waits.
func TestQueue_MemoryGoesBackAfterABurst(t *testing.T) {
	const (
		count = 200
		size  = 1 << 20
		slack = 10 << 20
	)

	q := session.NewNonBlockingQueue()
	ch := q.Channel()
	before := liveHeap()

	for range count {
		require.NoError(t, q.Push(fakePacket{message: make([]byte, size)}))
	}

	require.Greater(t, liveHeap(), before+(count-1)*size)

	for range count - 1 {
		<-ch
	}

	require.Less(t, liveHeap(), before+slack)
	q.Close()
}

// Promise M1: both bounds hold, and reading makes room again.
func TestQueue_BoundsInPacketsAndBytes(t *testing.T) {
	table := []struct {
		name string
		opts []session.QueueOption
	}{
		{"packets", []session.QueueOption{session.WithMaxPackets(3)}},
		{"bytes", []session.QueueOption{session.WithMaxBytes(3*packetSize + 1)}},
	}

	for _, row := range table {
		t.Run(row.name, func(t *testing.T) {
			q := session.NewNonBlockingQueue(row.opts...)
			ch := q.Channel()

			for next := range 20 {
				for q.Push(packet(next)) == nil {
					next++
				}

				requireDepth(t, q, 3, 3*packetSize)
				<-ch
				requireDepth(t, q, 2, 2*packetSize)
				require.NoError(t, q.Push(packet(next)))
				require.ErrorIs(t, q.Push(packet(next)), session.ErrQueueFull)
			}

			q.Close()
		})
	}
}

func TestQueue_EmptyOneAdmitsAnyMessage(t *testing.T) {
	q := session.NewNonBlockingQueue(session.WithMaxBytes(1))
	ch := q.Channel()

	for range 3 {
		require.NoError(t, q.Push(packet(0)))
		require.ErrorIs(t, q.Push(packet(1)), session.ErrQueueFull)
		require.ErrorIs(t, q.Push(fakePacket{}), session.ErrQueueFull)
		requireNumbers(t, ch, 0, 1)
	}
}

func TestQueue_OptionsThatMakeNoSenseAreIgnored(t *testing.T) {
	q := session.NewNonBlockingQueue(session.WithMaxPackets(0), session.WithMaxBytes(-1))

	pushNumbers(t, q, 0, 1000)
	requireDepth(t, q, 1000, 1000*packetSize)
}

func TestQueue_NoPacketIsAnError(t *testing.T) {
	q := session.NewNonBlockingQueue()

	require.ErrorContains(t, q.Push(nil), "no packet")
	requireDepth(t, q, 0, 0)
}

// overhead is what a packet counts for beside its message, when it has no addresses.
const overhead = 250

// Promise M1: a packet counts for what it costs, its addresses included, and one that cannot be
// asked for them for what it must cost.
func TestQueue_CountsMessageAndAddresses(t *testing.T) {
	q := session.NewNonBlockingQueue()
	dests := []mino.Address{session.NewAddress("a:1"), session.NewAddress("b:1")}

	require.NoError(t, q.Push(fakePacket{message: make([]byte, 10), dests: dests}))
	requireDepth(t, q, 1, overhead+10+100+len("FBa:1")+len("FBb:1"))

	require.NoError(t, q.Push(struct{ router.Packet }{}))
	requireDepth(t, q, 2, 2*overhead+10+100+len("FBa:1")+len("FBb:1"))
}

// packetSize is the size of a numbered packet.
const packetSize = 8 + overhead

// fakePacket is a packet of which the queue sees nothing but the message.
type fakePacket struct {
	router.Packet

	message []byte
	dests   []mino.Address
}

func (p fakePacket) GetMessage() []byte             { return p.message }
func (p fakePacket) GetSource() mino.Address        { return nil }
func (p fakePacket) GetDestination() []mino.Address { return p.dests }

func packet(n int) router.Packet {
	return fakePacket{message: binary.BigEndian.AppendUint64(nil, uint64(n))}
}

func numberOf(p router.Packet) int {
	return int(binary.BigEndian.Uint64(p.GetMessage()))
}

func pushNumbers(t *testing.T, q session.Queue, from, to int) {
	t.Helper()

	for n := from; n < to; n++ {
		require.NoError(t, q.Push(packet(n)))
	}
}

func requireNumbers(t *testing.T, ch <-chan router.Packet, from, to int) {
	t.Helper()

	for n := from; n < to; n++ {
		require.Equal(t, n, numberOf(<-ch))
	}
}

func requireClosed(t *testing.T, ch <-chan router.Packet) {
	t.Helper()

	_, open := <-ch
	require.False(t, open)
}

func requireDepth(t require.TestingT, q *session.NonBlockingQueue, packets, bytes int) {
	gotPackets, gotBytes := q.Depth()
	require.Equal(t, packets, gotPackets)
	require.Equal(t, bytes, gotBytes)
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()

	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)

	return stats.HeapAlloc
}
