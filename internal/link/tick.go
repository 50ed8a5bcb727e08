package link

import (
	"time"

	"github.com/minogrpc/session/internal/deadline"
	"github.com/minogrpc/session/internal/link/frames"
)

// tick tells the machine the time, and does what it asks for. It is called by a timer, and
// no goroutine waits for it.
func (d *duplex) tick() {
	deadline.Queue()

	l := d.link

	l.mu.Lock()

	if l.state > closing {
		l.mu.Unlock()

		return
	}

	if d.unanswered {
		// The set-up has a deadline of its own.
		d.beat.Reset(d.machine.FirstTick())
		l.mu.Unlock()

		return
	}

	stream := d.stream
	d.readingLocked()
	found := d.beatLocked(time.Now())
	d.beat.Reset(found.Next)
	l.mu.Unlock()

	switch {
	case found.Ignored:
		l.Fail(frames.ErrReplies)
	case found.Silent || found.Stuck:
		d.giveUp(stream)
	}
}

// beatLocked is a heartbeat, or a look in between.
func (d *duplex) beatLocked(now time.Time) frames.Beat {
	if d.machine.Looking() {
		return d.machine.Look(now)
	}

	found := d.machine.Tick(now)
	d.retire = found.Quiet

	if found.Quiet {
		d.link.box.Rest()
		d.machine.Rest()
	}

	d.wake()

	return found
}

// giveUp gives up the stream of a silent neighbour, or one that takes no frames, unless a frame
// of it is being taken. It ends the stream, so that the neighbour knows at once. At the end that
// dials, the reader finds that, and goes on with another stream.
func (d *duplex) giveUp(stream Stream) {
	if !d.frameMu.TryLock() {
		return
	}

	defer d.frameMu.Unlock()

	cause := d.reasonToQuit(stream)

	switch {
	case cause == nil:
	case d.Redial == nil:
		d.breakOff(stream, cause)
	default:
		d.letGo(stream)
	}
}

// reasonToQuit tells why a stream is given up, now that no frame of it is being taken, and notes
// that for its reader.
func (d *duplex) reasonToQuit(stream Stream) error {
	d.link.mu.Lock()
	defer d.link.mu.Unlock()

	if stream == nil || d.stream != stream {
		return nil
	}

	d.readingLocked()

	switch {
	case d.machine.Silent(time.Now()):
		d.quit = ErrSilent
	case d.machine.Failed():
		d.quit = ErrStuck
	default:
		return nil
	}

	return d.quit
}
