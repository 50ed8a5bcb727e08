package sessiontest

import (
	"sync"
	"time"
)

// connection is what one dial makes: two ends, and a pipe in each direction.
//
// Both ends wait for changed, whatever they wait for: the other end, a deadline, a delay or a fault of the
// network. A goroutine that waits for a condition variable is durably blocked in a bubble. Timers decide
// nothing: they wake the waiting goroutines, which look at the clock.
type connection struct {
	network *Network

	// dialled and accepted are the two ends.
	dialled, accepted *conn

	mu      sync.Mutex
	changed sync.Cond // broadcast after whatever may end a wait

	// broken is set by a reset. It is the same at both ends at once.
	broken bool
}

// newConnection returns a connection that has come up. The way is that of the dial.
func newConnection(n *Network, way direction, forth, back fault) *connection {
	c := &connection{network: n}
	c.changed.L = &c.mu

	there := &pipe{way: way, delay: forth.delay, lane: forth.lane}
	here := &pipe{way: way.reverse(), delay: back.delay, lane: back.lane}
	c.dialled = &conn{connection: c, out: there, in: here}
	c.accepted = &conn{connection: c, out: here, in: there}

	return c
}

// change applies a fault to the pipes of one direction. There are two if a node has dialled itself.
func (c *connection) change(way direction, change func(*pipe)) {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, end := range []*conn{c.dialled, c.accepted} {
		if end.out.way == way {
			change(end.out)
		}
	}

	c.changed.Broadcast()
}

// reset breaks the connection at both ends.
func (c *connection) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.resetLocked()
}

func (c *connection) resetLocked() {
	c.broken = true
	c.changed.Broadcast()
}

// wakeAfterLocked wakes the waiting goroutines after that time, or now.
func (c *connection) wakeAfterLocked(d time.Duration) *time.Timer {
	if d <= 0 {
		c.changed.Broadcast()
		return nil
	}

	return time.AfterFunc(d, func() {
		c.mu.Lock() // Otherwise a goroutine that has looked, and does not wait yet, would miss it.
		defer c.mu.Unlock()

		c.changed.Broadcast()
	})
}
