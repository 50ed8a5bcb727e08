package inbox_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"weak"

	"github.com/minogrpc/session/internal/inbox"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
)

// maxPackets and maxBytes are more than most tests need.
const (
	maxPackets = 1_000_000
	maxBytes   = 256 << 20
)

// Promise M1: a slot keeps nothing of the packet that was in it.
func TestInbox_PoppedPacketIsReleasedAtOnce(t *testing.T) {
	b := inbox.New(maxPackets, maxBytes, nil)
	first := &fakePacket{}
	reference := weak.Make(first)

	require.NoError(t, b.Push(entry(first)))
	pushNumbers(t, b, 1, 3)
	_, err := b.Pop(t.Context())
	require.NoError(t, err)

	runtime.GC()
	require.Nil(t, reference.Value())
	requireDepth(t, b, 2, 2*packetSize)
}

func TestInbox_EmptyOneAdmitsAnyMessage(t *testing.T) {
	b := inbox.New(maxPackets, 1, nil)

	for range 3 {
		require.NoError(t, b.Push(entry(packet(0))))
		require.ErrorIs(t, b.Push(entry(packet(1))), inbox.ErrFull)
		require.ErrorIs(t, b.Push(entry(fakePacket{})), inbox.ErrFull)
		requirePopped(t, b, 0)
	}
}

// Promise M3: the budget counts what is in the inbox, and nothing else. A closed inbox that
// nobody reads gives back what it has.
func TestInbox_TakesFromTheBudgetWhatItHolds(t *testing.T) {
	budget := memory.NewBudget(3 * packetSize)
	b := inbox.New(maxPackets, maxBytes, budget)

	pushNumbers(t, b, 0, 3)
	require.ErrorIs(t, b.Push(entry(packet(3))), memory.ErrExhausted)
	requireDepth(t, b, 3, 3*packetSize)

	requirePopped(t, b, 0)
	require.Equal(t, 2*packetSize, budget.Used())
	pushNumbers(t, b, 3, 4)

	b.Close(nil)
	b.LeaveBudget()
	require.Zero(t, budget.Used())

	requirePopped(t, b, 1)
	require.Zero(t, budget.Used())
}

func TestInbox_PopReturnsWhenTheContextOrTheQueueEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inbox.New(maxPackets, maxBytes, nil)
		ctx, cancel := context.WithCancel(t.Context())
		byContext, byClose := popErrors(ctx, b, 3), popErrors(t.Context(), b, 3)

		synctest.Wait()
		cancel()

		for range 3 {
			require.Equal(t, context.Canceled, <-byContext)
		}

		b.Close(nil)

		for range 3 {
			require.Equal(t, io.EOF, <-byClose)
		}
	})
}

func TestInbox_PacketWinsOverDoneContext(t *testing.T) {
	b := inbox.New(maxPackets, maxBytes, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := b.Pop(ctx)
	require.Equal(t, context.Canceled, err)

	require.NoError(t, b.Push(entry(packet(7))))

	p, err := b.Pop(ctx)
	require.NoError(t, err)
	require.Equal(t, 7, numberOf(p))

	b.Close(nil)

	_, err = b.Pop(ctx)
	require.Equal(t, io.EOF, err)
}

// There is room for one token only, and for those who are just about to wait it
// must do: the one who takes it wakes the next.
func TestInbox_OneTokenWakesAllForWhomThereIsAPacket(t *testing.T) {
	const poppers = 4

	synctest.Test(t, func(t *testing.T) {
		b := inbox.New(maxPackets, maxBytes, nil)
		ctx := gatedContext{Context: t.Context(), gate: make(chan struct{})}
		popped := popErrors(ctx, b, poppers)

		synctest.Wait()
		pushNumbers(t, b, 0, poppers)
		close(ctx.gate)

		for range poppers {
			require.NoError(t, <-popped)
		}
	})
}

// A packet must not be left behind because the goroutine that was woken for it had
// its context cancelled at the same moment.
func TestInbox_CancelledPopLosesNoWakeUp(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			b := inbox.New(maxPackets, maxBytes, nil)
			ctx, cancel := context.WithCancel(t.Context())
			cancelled, popped := popErrors(ctx, b, 1), popErrors(t.Context(), b, 1)

			synctest.Wait()

			var wg sync.WaitGroup
			wg.Go(cancel)
			wg.Go(func() { _ = b.Push(entry(packet(0))) })
			wg.Wait()

			if <-cancelled == nil {
				require.NoError(t, b.Push(entry(packet(1))))
			}

			require.NoError(t, <-popped)
		})
	}
}

func TestInbox_ConcurrentPoppersGetEachPacketOnce(t *testing.T) {
	const poppers, pushers, each = 8, 4, 2000

	b := inbox.New(maxPackets, maxBytes, nil)
	seen := make([][]int, poppers)

	var popping, pushing sync.WaitGroup

	for i := range poppers {
		popping.Go(func() {
			for p, err := b.Pop(t.Context()); err == nil; p, err = b.Pop(t.Context()) {
				seen[i] = append(seen[i], numberOf(p))
			}
		})
	}

	for i := range pushers {
		pushing.Go(func() { pushNumbers(t, b, i*each, (i+1)*each) })
	}

	pushing.Wait()
	b.Close(nil)
	popping.Wait()
	requireEachOnceInOrder(t, seen, pushers, each)
}

// Promise L6: what is queued comes first, then the cause.
func TestInbox_ClosedWithACauseGivesTheRestFirst(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")

	b := inbox.New(maxPackets, maxBytes, nil)
	pushNumbers(t, b, 0, 200)
	b.Close(first)
	b.Close(second)
	require.ErrorIs(t, b.Push(entry(packet(0))), inbox.ErrClosed)

	for next := range 200 {
		requirePopped(t, b, next)
	}

	for range 2 {
		_, err := b.Pop(t.Context())
		require.Equal(t, first, err)
	}
}

// packetSize is the size of the message of a numbered packet.
const packetSize = 8

// fakePacket is a packet of which the inbox sees only the message.
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

func pushNumbers(t *testing.T, b *inbox.Inbox, from, to int) {
	t.Helper()

	for n := from; n < to; n++ {
		require.NoError(t, b.Push(entry(packet(n))))
	}
}

func requirePopped(t *testing.T, b *inbox.Inbox, n int) {
	t.Helper()

	p, err := b.Pop(t.Context())
	require.NoError(t, err)
	require.Equal(t, n, numberOf(p))
}

func requireDepth(t require.TestingT, b *inbox.Inbox, packets, bytes int) {
	gotPackets, gotBytes := b.Depth()
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
func popErrors(ctx context.Context, b *inbox.Inbox, count int) <-chan error {
	errs := make(chan error, count)

	for range count {
		go func() {
			_, err := b.Pop(ctx)
			errs <- err
		}()
	}

	return errs
}

// entry returns a packet with the size of its message.
func entry(p router.Packet) inbox.Entry {
	return inbox.Entry{Packet: p, Size: len(p.GetMessage())}
}
