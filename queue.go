package session

import (
	"errors"
	"fmt"
	"sync"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/fifo"
	"github.com/minogrpc/session/internal/inbox"
	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/router"
)

// channelBuffer is how many packets the channel of a queue holds by itself. A reader that
// keeps up is served from there without another goroutine. It is a power of two, because
// the sizes of these packets are in a ring.
const channelBuffer = 1024

// Queue holds the packets that a session has received and its reader has not read yet. Both methods
// may be called from several goroutines at once.
type Queue interface {
	// Channel returns the channel on which the packets come out, in the order of the Push calls. It
	// is always the same channel.
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
	return queueOptionFunc(func(q *NonBlockingQueue) { q.bounds.MaxPackets = positive(n, q.bounds.MaxPackets) })
}

// WithMaxBytes bounds the total size of the packets in a queue, in bytes. The size of a packet is
// that of its message and of the texts of its addresses, and 250 bytes more. The bound must be
// positive; anything else is ignored. An empty queue takes a message of any size. The default is
// [DefaultQueueBytes].
func WithMaxBytes(n int) QueueOption {
	return queueOptionFunc(func(q *NonBlockingQueue) { q.bounds.MaxBytes = positive(n, q.bounds.MaxBytes) })
}

// NonBlockingQueue is a bounded [Queue], first in and first out. Push never blocks. The queue keeps
// nothing of a packet that a reader has received from its channel, and frees the memory of a burst.
// A goroutine, the pump, runs only while the channel is in use and does not hold all packets.
type NonBlockingQueue struct {
	// stop is closed by Close, and ends the pump.
	stop chan struct{}

	mu sync.Mutex

	// bounds counts all packets: in the backlog, with the pump, and in the channel. A packet
	// that was received from the channel counts until countReceivedLocked.
	bounds inbox.Bounds

	// backlog has the packets that do not fit into the channel.
	backlog fifo.List[inbox.Entry]

	// out is nil until the first call of Channel. While there is a pump, only the pump
	// sends to the channel and closes it; otherwise the holder of the lock does.
	out     chan router.Packet
	pumping bool

	// noted counts the packets that ever went into the channel, and gone those of them that
	// are not in bounds any more. Both may overflow: only the difference counts. sizes has
	// the sizes of the packets between the two, and is a ring.
	noted, gone uint
	sizes       []int

	closed bool
}

// NewNonBlockingQueue returns an empty queue.
func NewNonBlockingQueue(opts ...QueueOption) *NonBlockingQueue {
	q := &NonBlockingQueue{
		stop:   make(chan struct{}),
		bounds: inbox.Bounds{MaxPackets: DefaultQueuePackets, MaxBytes: DefaultQueueBytes},
	}

	for _, opt := range opts {
		opt.applyQueue(q)
	}

	return q
}

// Push implements [Queue]. It returns [ErrQueueFull] when a bound is reached, and an error
// that wraps [ErrClosed] after Close.
func (q *NonBlockingQueue) Push(p router.Packet) error {
	if p == nil {
		return errors.New("queue: no packet")
	}

	entry := inbox.Entry{Packet: p, Size: sizeOf(p)}

	q.mu.Lock()
	defer q.mu.Unlock()

	if q.closed {
		return fmt.Errorf("queue: %w", ErrClosed)
	}

	// The packets that were received matter only when there seems to be no room.
	if q.bounds.Full(entry.Size) {
		q.countReceivedLocked()
	}

	if q.bounds.Full(entry.Size) {
		return ErrQueueFull
	}

	q.bounds.Add(entry.Size)

	if q.out == nil || q.pumping || !q.offerLocked(entry) {
		q.backlog.Push(entry)
		q.startPumpLocked()
	}

	return nil
}

// sizeOf returns what a packet counts for. A packet that panics when it is asked for something
// counts as one without that.
func sizeOf(p router.Packet) int {
	var (
		message []byte
		source  string
		keys    []string
	)

	_ = contain.Do(func() { message = p.GetMessage() })
	_ = contain.Do(func() { source, _ = keyOf(p.GetSource()) })
	_ = contain.Do(func() {
		for _, dest := range p.GetDestination() {
			key, _ := keyOf(dest)
			keys = append(keys, key)
		}
	})

	return parcel.Size(message, source, keys)
}

// Channel implements [Queue]. A reader that only receives from the channel gets every packet, also
// those pushed before the first call of Channel. The channel is closed after
// [NonBlockingQueue.Close].
func (q *NonBlockingQueue) Channel() <-chan router.Packet {
	q.mu.Lock()
	defer q.mu.Unlock()

	if q.out == nil {
		q.out = make(chan router.Packet, channelBuffer)
		q.sizes = make([]int, 2*channelBuffer)
		q.startPumpLocked()

		if q.closed {
			close(q.out)
		}
	}

	return q.out
}

// Close ends the queue: Push returns an error from now on, the channel is closed, and the queue may
// drop packets that nobody has received yet. It may be called more than once.
func (q *NonBlockingQueue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()

	if q.closed {
		return
	}

	q.closed = true
	close(q.stop)

	for q.backlog.Len() > 0 {
		q.bounds.Free(q.backlog.Pop().Size)
	}

	if q.out != nil && !q.pumping {
		close(q.out)
	}
}
