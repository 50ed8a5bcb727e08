package inbox

import (
	"errors"
	"time"

	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/router"
)

// ErrFull says that one of the bounds of a queue is reached.
var ErrFull = errors.New("queue is at maximum capacity")

// Entry is a packet in a queue with the size that it was counted with, in bytes. A packet
// belongs to a router, and might say another size when it is taken out.
type Entry struct {
	Packet router.Packet
	Size   int

	// Since is when the packet began its way at this node.
	Since time.Time

	// Account is the budget that the packet takes its room from. Nil is that of the queue.
	Account *memory.Budget
}

// Bounds counts what is in a queue, in packets and in bytes, and says when there is no room.
// It has no lock: it belongs to the lock of its queue.
type Bounds struct {
	// MaxPackets and MaxBytes are positive.
	MaxPackets, MaxBytes int

	packets, bytes int
}

// Full tells whether there is no room for another packet of that size. An empty queue has
// room for any size: otherwise a large message could never arrive.
func (b *Bounds) Full(size int) bool {
	return b.packets > 0 && (b.packets >= b.MaxPackets || size > b.MaxBytes-b.bytes)
}

// Add counts a packet.
func (b *Bounds) Add(size int) {
	b.packets++
	b.bytes += size
}

// Free takes a packet off the count.
func (b *Bounds) Free(size int) {
	b.packets--
	b.bytes -= size
}

// Depth returns what is counted.
func (b *Bounds) Depth() (packets, bytes int) {
	return b.packets, b.bytes
}
