package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/minogrpc/session/internal/fifo"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/router"
)

// Queue holds the packets that have been received and not yet read. Both methods
// may be called from several goroutines at once.
type Queue interface {
	// Channel returns the channel that the packets come out of, in the order in
	// which they were pushed. It is always the same one.
	Channel() <-chan router.Packet

	// Push puts a packet into the queue. It never waits for a reader: it returns an
	// error when there is no room.
	Push(router.Packet) error
}

// QueueOption changes a default of [NewNonBlockingQueue].
type QueueOption interface {
	applyQueue(*NonBlockingQueue)
}

type queueOptionFunc func(*NonBlockingQueue)

func (f queueOptionFunc) applyQueue(q *NonBlockingQueue) { f(q) }

// WithMaxPackets bounds the number of packets in a queue. It must be positive;
// anything else is ignored. The default is [DefaultQueuePackets].
func WithMaxPackets(n int) QueueOption {
	return queueOptionFunc(func(q *NonBlockingQueue) { q.maxPackets = positive(n, q.maxPackets) })
}

// WithMaxBytes bounds the bytes of the messages in a queue. It must be positive;
// anything else is ignored. An empty queue takes a message of any size. The default
// is [DefaultQueueBytes].
func WithMaxBytes(n int) QueueOption {
	return queueOptionFunc(func(q *NonBlockingQueue) { q.maxBytes = positive(n, q.maxBytes) })
}

// NonBlockingQueue is a bounded [Queue], first in and first out. Push never blocks.
// A packet is released as soon as it is taken out, and the memory of a burst with
// it. A goroutine runs only while the channel is in use and does not hold all that
// waits.
type NonBlockingQueue struct {
	maxPackets int
	maxBytes   int

	// budget is what the queues and outboxes of a node share. Nil is no limit. Where
	// there is one the channel must not be in use: it gives back late.
	budget *memory.Budget

	// wake holds a token when one of the goroutines in pop has something to do.
	wake chan struct{}

	// stop is closed by Close, and ends the pump.
	stop chan struct{}

	mu      sync.Mutex
	backlog fifo.List[queued]
	waiting int // goroutines in pop

	// packets and bytes are all that counts against the bounds: the backlog, what
	// the pump holds, and what is in the channel. What has been received from the
	// channel counts until countReceivedLocked.
	packets, bytes int

	// cause is set when the queue is closed.
	cause   error
	stopped bool

	// out is nil until somebody asks for the channel. While there is a pump, it alone
	// sends to the channel and closes it; otherwise who holds the lock does.
	out     *outlet
	pumping bool
}

// queued is a packet with the size of its message, so that what is added to the
// count and what is taken off is the same whatever the packet says.
type queued struct {
	packet router.Packet
	size   int
}

// NewNonBlockingQueue returns an empty queue.
func NewNonBlockingQueue(opts ...QueueOption) *NonBlockingQueue {
	q := &NonBlockingQueue{
		maxPackets: DefaultQueuePackets,
		maxBytes:   DefaultQueueBytes,
		wake:       make(chan struct{}, 1),
		stop:       make(chan struct{}),
	}

	for _, opt := range opts {
		opt.applyQueue(q)
	}

	return q
}

// Push implements [Queue]. It returns [ErrQueueFull] when a bound is reached,
// [ErrMemory] when that of the node is, and an error that wraps [ErrClosed] after Close.
func (q *NonBlockingQueue) Push(p router.Packet) error {
	if p == nil {
		return errors.New("queue: no packet")
	}

	entry := queued{packet: p, size: len(p.GetMessage())}

	q.mu.Lock()
	defer q.mu.Unlock()

	if q.cause != nil {
		return fmt.Errorf("queue: %w", ErrClosed)
	}

	// What the channel has given away matters only when it looks as if there were no
	// room.
	if q.fullLocked(entry.size) {
		q.countReceivedLocked()
	}

	if q.fullLocked(entry.size) {
		return ErrQueueFull
	}

	if !q.budget.Reserve(entry.size) {
		return ErrMemory
	}

	q.packets++
	q.bytes += entry.size

	if q.out == nil {
		q.backlog.Push(entry)
		q.wakeLocked()
	} else {
		q.handLocked(entry)
	}

	return nil
}

// Close ends the queue: Push returns an error from now on, the channel is closed,
// and what has not been received may be dropped. It may be called more than once.
func (q *NonBlockingQueue) Close() {
	q.closeWith(nil)

	q.mu.Lock()
	defer q.mu.Unlock()

	if !q.stopped {
		q.stopped = true
		close(q.stop)
	}

	for q.backlog.Len() > 0 {
		q.takeLocked()
	}
}

// closeWith lets no more packets in. What is in the queue can still be taken; pop
// returns the cause after it, or io.EOF when it is nil. The first cause counts.
func (q *NonBlockingQueue) closeWith(cause error) {
	q.mu.Lock()
	defer q.mu.Unlock()

	if q.cause != nil {
		return
	}

	if cause == nil {
		cause = io.EOF
	}

	q.cause = cause
	q.wakeLocked()

	if q.out != nil && !q.pumping {
		close(q.out.ch)
	}
}

// pop takes out the oldest packet, and waits for one if need be. It returns the
// error of the context when that is done first, though a packet that is there wins;
// and the cause of closeWith when the queue is closed and empty. Several goroutines
// may call it at once, but not where the channel is in use.
func (q *NonBlockingQueue) pop(ctx context.Context) (router.Packet, error) {
	q.mu.Lock()
	defer q.mu.Unlock()

	for {
		if q.backlog.Len() > 0 {
			return q.takeLocked(), nil
		}

		if q.cause != nil {
			// The others that wait are to see it too.
			q.wakeLocked()

			return nil, q.cause
		}

		if ctx.Err() != nil {
			return nil, ctx.Err()
		}

		q.waitLocked(ctx)
	}
}

// depth returns the number of packets in the queue and the bytes of their messages.
func (q *NonBlockingQueue) depth() (packets, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()

	q.countReceivedLocked()

	return q.packets, q.bytes
}

// leaveBudget stops counting for the node: nobody may ever come for what is left in a
// queue that is closed, and the node has other sessions.
func (q *NonBlockingQueue) leaveBudget() {
	q.mu.Lock()
	defer q.mu.Unlock()

	q.budget.Release(q.bytes)
	q.budget = nil
}

// fullLocked tells whether there is no room for a packet of that size.
func (q *NonBlockingQueue) fullLocked(size int) bool {
	return q.packets > 0 && (q.packets >= q.maxPackets || size > q.maxBytes-q.bytes)
}

// freeLocked takes packets off the count.
func (q *NonBlockingQueue) freeLocked(packets, bytes int) {
	q.packets -= packets
	q.bytes -= bytes
	q.budget.Release(bytes)
}

// takeLocked takes the oldest packet out of the backlog for good.
func (q *NonBlockingQueue) takeLocked() router.Packet {
	entry := q.backlog.Pop()
	q.freeLocked(1, entry.size)

	// One token may stand for several packets, so whoever takes one passes it on.
	if q.backlog.Len() > 0 {
		q.wakeLocked()
	}

	return entry.packet
}

// waitLocked gives the lock away until there is a token or the context is done.
func (q *NonBlockingQueue) waitLocked(ctx context.Context) {
	q.waiting++
	q.mu.Unlock()

	select {
	case <-q.wake:
	case <-ctx.Done():
	}

	q.mu.Lock()
	q.waiting--
}

// wakeLocked wakes one of the goroutines in pop. A token that nobody takes does no
// harm: the next to wait looks once more than needed.
func (q *NonBlockingQueue) wakeLocked() {
	if q.waiting == 0 {
		return
	}

	select {
	case q.wake <- struct{}{}:
	default:
	}
}
