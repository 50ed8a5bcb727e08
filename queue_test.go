package session_test

import (
	"context"
	"encoding/binary"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/minogrpc/session"
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

	takers := map[string]func(q *session.NonBlockingQueue) func(){
		"channel": func(q *session.NonBlockingQueue) func() {
			ch := q.Channel()

			return func() { <-ch }
		},
		"pop": func(q *session.NonBlockingQueue) func() {
			return func() { _, _ = q.Pop(t.Context()) }
		},
	}

	for name, taker := range takers {
		t.Run(name, func(t *testing.T) {
			q := session.NewNonBlockingQueue()
			take := taker(q)
			before := liveHeap()

			for range count {
				require.NoError(t, q.Push(fakePacket{message: make([]byte, size)}))
			}

			require.Greater(t, liveHeap(), before+(count-1)*size)

			for range count - 1 {
				take()
			}

			require.Less(t, liveHeap(), before+slack)
			q.Close()
		})
	}
}

// Promise M1: a slot keeps nothing of the packet that was in it.
func TestQueue_PoppedPacketIsReleasedAtOnce(t *testing.T) {
	q := session.NewNonBlockingQueue()
	first := &fakePacket{}
	reference := weak.Make(first)

	require.NoError(t, q.Push(first))
	pushNumbers(t, q, 1, 3)
	_, err := q.Pop(t.Context())
	require.NoError(t, err)

	runtime.GC()
	require.Nil(t, reference.Value())
	requireDepth(t, q, 2, 2*packetSize)
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

	for range 3 {
		require.NoError(t, q.Push(packet(0)))
		require.ErrorIs(t, q.Push(packet(1)), session.ErrQueueFull)
		require.ErrorIs(t, q.Push(fakePacket{}), session.ErrQueueFull)
		requirePopped(t, q, 0)
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

func TestQueue_PopReturnsWhenTheContextOrTheQueueEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := session.NewNonBlockingQueue()
		ctx, cancel := context.WithCancel(t.Context())
		byContext, byClose := popErrors(ctx, q, 3), popErrors(t.Context(), q, 3)

		synctest.Wait()
		cancel()

		for range 3 {
			require.Equal(t, context.Canceled, <-byContext)
		}

		q.CloseWith(nil)

		for range 3 {
			require.Equal(t, io.EOF, <-byClose)
		}
	})
}

func TestQueue_PacketWinsOverDoneContext(t *testing.T) {
	q := session.NewNonBlockingQueue()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := q.Pop(ctx)
	require.Equal(t, context.Canceled, err)

	require.NoError(t, q.Push(packet(7)))

	p, err := q.Pop(ctx)
	require.NoError(t, err)
	require.Equal(t, 7, numberOf(p))

	q.CloseWith(nil)

	_, err = q.Pop(ctx)
	require.Equal(t, io.EOF, err)
}

// There is room for one token only, and for those who are just about to wait it
// must do: the one who takes it wakes the next.
func TestQueue_OneTokenWakesAllForWhomThereIsAPacket(t *testing.T) {
	const poppers = 4

	synctest.Test(t, func(t *testing.T) {
		q := session.NewNonBlockingQueue()
		ctx := gatedContext{Context: t.Context(), gate: make(chan struct{})}
		popped := popErrors(ctx, q, poppers)

		synctest.Wait()
		pushNumbers(t, q, 0, poppers)
		close(ctx.gate)

		for range poppers {
			require.NoError(t, <-popped)
		}
	})
}

// A packet must not be left behind because the goroutine that was woken for it had
// its context cancelled at the same moment.
func TestQueue_CancelledPopLosesNoWakeUp(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			q := session.NewNonBlockingQueue()
			ctx, cancel := context.WithCancel(t.Context())
			cancelled, popped := popErrors(ctx, q, 1), popErrors(t.Context(), q, 1)

			synctest.Wait()

			var wg sync.WaitGroup
			wg.Go(cancel)
			wg.Go(func() { _ = q.Push(packet(0)) })
			wg.Wait()

			if <-cancelled == nil {
				require.NoError(t, q.Push(packet(1)))
			}

			require.NoError(t, <-popped)
		})
	}
}

func TestQueue_ConcurrentPoppersGetEachPacketOnce(t *testing.T) {
	const poppers, pushers, each = 8, 4, 2000

	q := session.NewNonBlockingQueue()
	seen := make([][]int, poppers)

	var popping, pushing sync.WaitGroup

	for i := range poppers {
		popping.Go(func() {
			for p, err := q.Pop(t.Context()); err == nil; p, err = q.Pop(t.Context()) {
				seen[i] = append(seen[i], numberOf(p))
			}
		})
	}

	for i := range pushers {
		pushing.Go(func() { pushNumbers(t, q, i*each, (i+1)*each) })
	}

	pushing.Wait()
	q.CloseWith(nil)
	popping.Wait()
	requireEachOnceInOrder(t, seen, pushers, each)
}

// packetSize is the size of the message of a numbered packet.
const packetSize = 8

// fakePacket is a packet of which the queue sees nothing but the message.
type fakePacket struct {
	router.Packet

	message []byte
}

func (p fakePacket) GetMessage() []byte { return p.message }

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

func requirePopped(t *testing.T, q *session.NonBlockingQueue, n int) {
	t.Helper()

	p, err := q.Pop(t.Context())
	require.NoError(t, err)
	require.Equal(t, n, numberOf(p))
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

// requireEachOnceInOrder checks that every number arrived once, and that each
// receiver saw the numbers of one pusher in their order.
func requireEachOnceInOrder(t *testing.T, seen [][]int, pushers, each int) {
	t.Helper()

	counts := make([]int, pushers*each)

	for _, numbers := range seen {
		last := make([]int, pushers)

		for _, n := range numbers {
			counts[n]++

			require.GreaterOrEqual(t, n, last[n/each])
			last[n/each] = n
		}
	}

	for n, count := range counts {
		require.Equal(t, 1, count, n)
	}
}

// gatedContext holds whoever is about to wait for it until the gate is open.
type gatedContext struct {
	context.Context

	gate chan struct{}
}

func (c gatedContext) Done() <-chan struct{} {
	<-c.gate

	return c.Context.Done()
}

// popErrors lets goroutines pop once each and returns what they got for errors.
func popErrors(ctx context.Context, q *session.NonBlockingQueue, count int) <-chan error {
	errs := make(chan error, count)

	for range count {
		go func() {
			_, err := q.Pop(ctx)
			errs <- err
		}()
	}

	return errs
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()

	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)

	return stats.HeapAlloc
}
