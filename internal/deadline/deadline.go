// Package deadline has deadlines that count only the time in which the process gets the
// processor.
//
// A process that is stopped, or that shares a processor with many others, reads late what its
// neighbours have sent long ago. A timer of the time that has passed would then blame them.
package deadline

import (
	"sync"
	"time"
)

// step is how much time one tick counts for at most. A tick that comes late counts for no more,
// so that the time in between does not count.
const step = 100 * time.Millisecond

// Deadline is a time that runs out, unless it is stopped. Its methods may be called from several
// goroutines.
type Deadline struct {
	passed func()

	mu    sync.Mutex
	timer *time.Timer
	// next is what the next tick counts for.
	next time.Duration
	// left is what is left of the time, and most what is left of the longest time that it may
	// be extended to.
	left, most time.Duration
	over       bool
}

// Start returns a deadline that passes after the time left, or when it has been extended, and
// after the most at the latest. It then calls passed, once, in a goroutine of its own.
func Start(left, most time.Duration, passed func()) *Deadline {
	d := &Deadline{passed: passed, left: min(left, most), most: most}

	d.mu.Lock()
	defer d.mu.Unlock()

	d.next = min(d.left, step)
	d.timer = time.AfterFunc(d.next, d.tick)

	return d
}

// After returns a deadline that passes after that time, and the channel that it then closes.
func After(left time.Duration) (*Deadline, <-chan struct{}) {
	over := make(chan struct{})

	return Start(left, left, func() { close(over) }), over
}

// Extend sees to it that there is at least so much time left. The longest time stays.
func (d *Deadline) Extend(left time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.left = max(d.left, min(left, d.most))
}

// Left returns what is left of the time, and of the longest time.
func (d *Deadline) Left() (left, most time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()

	return d.left, d.most
}

// Stop ends the deadline. It does not pass any more, unless it has passed.
func (d *Deadline) Stop() {
	d.mu.Lock()
	defer d.mu.Unlock()

	d.over = true
	d.timer.Stop()
}

func (d *Deadline) tick() {
	if d.count() {
		d.passed()
	}
}

// count counts the time of a tick, and tells whether the deadline has passed.
func (d *Deadline) count() bool {
	d.mu.Lock()
	defer d.mu.Unlock()

	if d.over {
		return false
	}

	d.left -= d.next
	d.most -= d.next
	d.over = d.left <= 0

	if !d.over {
		d.next = min(d.left, step)
		d.timer.Reset(d.next)
	}

	return d.over
}
