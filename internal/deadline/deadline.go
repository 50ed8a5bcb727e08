// Package deadline has deadlines that count only the time in which the process gets the
// processor.
//
// A process that is stopped, or that shares a processor with many others, reads late what its
// neighbours have sent long ago. A timer of the time that has passed would then blame them.
//
// A deadline finds out by ticks: each looks whether the process has the processor at that moment.
// A tick that runs in time counts in full. One that comes late counts for the less the later it
// comes, and for a small part at least.
package deadline

import (
	"context"
	"sync"
	"time"
)

// step is how much time one tick counts for at most.
const step = 100 * time.Millisecond

// Deadline is a time that runs out, unless it is stopped. Its methods may be called from several
// goroutines.
type Deadline struct {
	passed func()

	mu    sync.Mutex
	timer *time.Timer
	// due is when the next tick should run, and next what it then counts for.
	due  time.Time
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

	d.planLocked()

	return d
}

// After returns a deadline that passes after that time, and the channel that it then closes.
func After(left time.Duration) (*Deadline, <-chan struct{}) {
	over := make(chan struct{})

	return Start(left, left, func() { close(over) }), over
}

// Context returns a context that is canceled when that much time has passed, with
// [context.DeadlineExceeded] as its cause. Nobody knows beforehand when that will be, so the context
// has no deadline of its own. The caller calls cancel, as that of [context.WithCancel].
func Context(parent context.Context, left time.Duration) (ctx context.Context, d *Deadline, cancel func()) {
	ctx, end := context.WithCancelCause(parent)
	d = Start(left, left, func() { end(context.DeadlineExceeded) })

	return ctx, d, func() {
		d.Stop()
		end(nil)
	}
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

	begun := d.begunLocked()

	return d.left - begun, d.most - begun
}

// Stop ends the deadline. It returns false if the deadline has passed, or has been stopped.
func (d *Deadline) Stop() bool {
	d.mu.Lock()
	defer d.mu.Unlock()

	over, begun := d.over, d.begunLocked()
	d.left, d.most = d.left-begun, d.most-begun
	d.over = true
	d.timer.Stop()

	return !over
}

// begunLocked returns how much has passed of the time of the next tick.
func (d *Deadline) begunLocked() time.Duration {
	if d.over {
		return 0
	}

	return min(d.next+time.Since(d.due), d.next)
}

// planLocked plans the next tick.
func (d *Deadline) planLocked() {
	d.next = min(d.left, step)
	d.due = time.Now().Add(d.next)

	if d.timer == nil {
		d.timer = time.AfterFunc(d.next, d.tick)
	} else {
		d.timer.Reset(d.next)
	}
}

func (d *Deadline) tick() {
	Queue()

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

	counted := Counted(d.next, time.Since(d.due))

	d.left -= counted
	d.most -= counted
	d.over = d.left <= 0

	if !d.over {
		d.planLocked()
	}

	return d.over
}
