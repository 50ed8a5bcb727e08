package link

import "time"

// Fail ends the link because of a loss. It has no effect on one that is closing or
// lost already.
func (l *Link) Fail(cause error) {
	l.mu.Lock()

	if l.state > open {
		l.mu.Unlock()

		return
	}

	l.state = lost
	l.mu.Unlock()

	l.Owner.Lost(l, cause)

	go l.release(cause)
}

// Close ends the link. What is in the outbox is given some time to be sent, what
// is left after is reported as ErrClosed. It returns at once.
func (l *Link) Close() {
	l.close(true)
}

// Leave is Close without a word to the neighbour, to whom it is a loss.
func (l *Link) Leave() {
	l.close(false)
}

func (l *Link) close(farewell bool) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.state > open {
		return
	}

	before := l.state
	l.state = closing
	l.flushedLocked()
	l.wakeLocked()

	go l.part(before, farewell)
}

// part empties the outbox, says goodbye, and waits for the neighbour to end the
// stream: cancelling it at once would lose what has been sent.
func (l *Link) part(before state, farewell bool) {
	timer := time.NewTimer(Goodbye)
	defer timer.Stop()

	if before == open && l.connected() {
		select {
		case <-l.flushed:
		case <-l.ended:
		case <-timer.C:
		}
	}

	for _, p := range l.Drain() {
		l.Owner.Failed(l, p, ErrClosed)
	}

	if before == open && farewell && l.sayGoodbye() {
		// The wait before may have used up the timer.
		timer.Reset(Goodbye)

		select {
		case <-l.ended:
		case <-timer.C:
		}
	}

	l.release(ErrClosed)
}

// sayGoodbye tells the neighbour that nothing more will come, and returns whether it
// answers that by ending the stream.
func (l *Link) sayGoodbye() bool {
	if l.duplex == nil {
		return l.conn.Goodbye()
	}

	return l.duplex.sayGoodbye()
}

// sayGoodbye writes the last frame, if there is a stream.
func (d *duplex) sayGoodbye() bool {
	l := d.link

	if !l.connected() {
		return false
	}

	l.mu.Lock()
	d.farewell = true
	d.wakeLocked()
	l.mu.Unlock()

	timer := time.NewTimer(Goodbye)
	defer timer.Stop()

	select {
	case <-d.said:
		return d.shut
	case <-l.ended:
	case <-timer.C:
	}

	return false
}

// connected tells whether an open link can send something now. One that is closing
// does not go on with another stream.
func (l *Link) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.duplex == nil || l.duplex.stream != nil && !l.duplex.failed
}

// release stops the goroutines and frees the connection.
func (l *Link) release(cause error) {
	var stream Stream

	l.mu.Lock()
	l.state = dead
	l.work.Broadcast()

	if l.expiry != nil {
		l.expiry.Stop()
	}

	if l.duplex != nil {
		stream = l.duplex.endLocked()
	}
	l.mu.Unlock()

	l.cancel(cause)

	if stream != nil {
		l.duplex.letGo(stream)
	}

	if d := l.duplex; d != nil {
		d.turn.Lock()
		d.dropPartial()
		d.turn.Unlock()
	}

	close(l.parted)
	l.wg.Wait()

	if l.conn != nil {
		l.conn.Release()
	}

	close(l.released)
	l.Owner.Released(l)
}

// endLocked stops the pulse and gives up the stream, which it returns.
func (d *duplex) endLocked() Stream {
	stream := d.stream
	d.stream = nil

	if d.resting {
		d.stirLocked()
	}

	d.timer.Stop()

	return stream
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
