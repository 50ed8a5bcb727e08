package link

import "time"

// beats is how many heartbeats there are in the time after which a silent neighbour
// is lost.
const beats = 3

// pulse is the sign of life that the two ends of a duplex link give each other: a
// frame is one, and an empty one is written in regular intervals. It belongs to the
// lock of the link.
type pulse struct {
	// heard is when the last frame has come.
	heard time.Time

	// beaten is the number of the last frame with content at the last heartbeat.
	beaten uint64

	// stuck is set when the stream has taken no frames since the timer fired last.
	stuck bool

	// timer fires at due.
	timer *time.Timer
	due   time.Time
}

// startPulseLocked begins to give and to expect signs of life.
func (d *duplex) startPulseLocked() {
	now := time.Now()
	d.heard = now
	d.due = now.Add(d.link.Silence / beats)
	d.timer = time.AfterFunc(d.link.Silence/beats, d.tick)

	if d.link.state > closing {
		// The set-up was over too late, and nobody else will stop it.
		d.timer.Stop()
	}
}

// tick writes a heartbeat, and looks whether the neighbour is still there.
func (d *duplex) tick() {
	l := d.link
	interval := l.Silence / beats

	l.mu.Lock()

	if l.state > closing {
		l.mu.Unlock()

		return
	}

	now := time.Now()
	if now.Sub(d.due) > interval {
		// The process was stopped, or had no processor: what it could not read in
		// that time says nothing about the neighbour.
		d.heard = later(d.heard, now.Add(interval-l.Silence))
	}

	deadline := d.heard.Add(l.Silence)
	stream := d.stream
	silent := stream != nil && !now.Before(deadline)
	// Its end is not the reason: that would have been told.
	stuck := stream != nil && d.failed && d.stuck
	d.stuck = d.failed

	d.beat = true
	d.retire = d.last == d.beaten
	d.beaten = d.last
	d.wakeLocked()

	d.due = now.Add(interval)
	if stream != nil && !silent && deadline.Before(d.due) {
		d.due = deadline
	}

	d.timer.Reset(d.due.Sub(now))
	l.mu.Unlock()

	switch {
	case d.Redial == nil && (silent || stuck):
		d.breakQuiet(stream)
	case silent:
		l.Fail(ErrSilent)
	case stuck:
		// The reader then finds that it has ended.
		d.letGo(stream)
	}
}

// breakQuiet gives up the stream of a silent neighbour, or one that takes no frames,
// unless a frame of it is being taken.
func (d *duplex) breakQuiet(stream Stream) {
	if !d.turn.TryLock() {
		return
	}

	defer d.turn.Unlock()

	d.link.mu.Lock()
	silent := time.Since(d.heard) >= d.link.Silence
	stuck := d.failed
	d.link.mu.Unlock()

	switch {
	case silent:
		d.breakOff(stream, ErrSilent)
	case stuck:
		d.breakOff(stream, errStuck)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}

	return b
}
