package link

import (
	"time"

	"github.com/minogrpc/session/internal/link/frames"
)

// tick tells the machine the time, and does what it asks for. It is called by a timer, and
// no goroutine waits for it.
func (d *duplex) tick() {
	l := d.link

	l.mu.Lock()

	if l.state > closing {
		l.mu.Unlock()

		return
	}

	stream := d.stream
	d.readingLocked()
	found := d.machine.Tick(time.Now())
	d.retire = found.Quiet
	d.wake()
	d.beat.Reset(found.Next)
	l.mu.Unlock()

	switch {
	case found.Ignored:
		l.Fail(frames.ErrReplies)
	case d.Redial == nil && (found.Silent || found.Stuck):
		d.breakQuiet(stream)
	case found.Silent:
		l.Fail(ErrSilent)
	case found.Stuck:
		// The reader then finds that it has ended.
		d.letGo(stream)
	}
}

// breakQuiet gives up the stream of a silent neighbour, or one that takes no frames,
// unless a frame of it is being taken.
func (d *duplex) breakQuiet(stream Stream) {
	if !d.frameMu.TryLock() {
		return
	}

	defer d.frameMu.Unlock()

	d.link.mu.Lock()
	d.readingLocked()
	silent, failed := d.machine.Silent(time.Now()), d.machine.Failed()
	d.link.mu.Unlock()

	switch {
	case silent:
		d.breakOff(stream, ErrSilent)
	case failed:
		d.breakOff(stream, errStuck)
	}
}
