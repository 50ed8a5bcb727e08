package sessiontest

import (
	"sync"
	"time"
)

// connection is what one dial makes: two ends and a pipe in each direction.
//
// Waiting for anything at either end is waiting for changed, because a condition
// variable is durable in a bubble, and what is waited for can depend on the other
// end, on a deadline, on a delay and on the faults of the network alike. Timers
// never decide anything: they wake those who wait, and these look at the clock.
type connection struct {
	network *Network

	// dialled and accepted are the two ends.
	dialled, accepted *conn

	mu      sync.Mutex
	changed sync.Cond // broadcast after whatever may end a wait

	// broken is set by a reset. It is the same at both ends at once.
	broken bool
}

// newConnection returns a connection that has come up, the way being that of the
// dial.
func newConnection(n *Network, way direction, forth, back fault) *connection {
	c := &connection{network: n}
	c.changed.L = &c.mu

	there := &pipe{way: way, delay: forth.delay, lane: forth.lane}
	here := &pipe{way: way.reverse(), delay: back.delay, lane: back.lane}
	c.dialled = &conn{connection: c, out: there, in: here}
	c.accepted = &conn{connection: c, out: here, in: there}

	return c
}

// change applies a fault to the pipes of one direction. A node that has dialled
// itself has two.
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

// wakeAfterLocked makes those who wait look again after that long, or now.
func (c *connection) wakeAfterLocked(d time.Duration) *time.Timer {
	if d <= 0 {
		c.changed.Broadcast()
		return nil
	}

	return time.AfterFunc(d, func() {
		c.mu.Lock() // or the wake-up is lost on who has looked but does not wait yet
		defer c.mu.Unlock()

		c.changed.Broadcast()
	})
}
