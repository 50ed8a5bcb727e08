package link

import "github.com/minogrpc/session/internal/deadline"

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

	l.tell(func() { l.Owner.Lost(l, cause) })

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
	l.state, l.sealed = closing, true
	l.flushedLocked()
	l.wakeLocked()

	go l.part(before, farewell)
}

// part empties the outbox, says goodbye, and waits for the neighbour to end the
// stream: cancelling it at once would lose what has been sent. A neighbour that is being
// dialled may have accepted already, and would wait long for a link that it takes for broken.
func (l *Link) part(before state, farewell bool) {
	if before == connecting && farewell && l.isDialling() && l.awaitGoodbye(l.dialled) {
		before = open
	}

	t := l.over()

	if before == open && l.connected() {
		l.awaitGoodbye(l.flushed)
	}

	l.failAll(l.Drain())

	if before == open && farewell && t.goodbye() {
		l.awaitGoodbye(nil)
	}

	l.release(ErrClosed)
}

// isDialling tells whether the neighbour may know of the link.
func (l *Link) isDialling() bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.setup.deadline != nil
}

// awaitGoodbye waits until something is done, the stream of the neighbour has ended, or the time
// of a goodbye is over. It tells whether it was done.
func (l *Link) awaitGoodbye(done <-chan struct{}) bool {
	if isClosed(done) {
		return true
	}

	if isClosed(l.ended) {
		return false
	}

	patience, over := deadline.After(Goodbye)
	defer patience.Stop()

	select {
	case <-done:
		return true
	case <-l.ended:
	case <-over:
	}

	return false
}

// connected tells whether an open link can send something now. One that is closing
// does not go on with another stream.
func (l *Link) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.transport.connected()
}

// release stops the goroutines and frees the connection.
func (l *Link) release(cause error) {
	l.mu.Lock()
	l.state = dead

	// Who is told of a loss takes these, unless that is prevented.
	left, t := l.drainLocked(), l.transport

	if l.expiry.timer != nil {
		l.expiry.timer.Stop()
	}

	if t != nil {
		t.end()
	}
	l.mu.Unlock()

	l.failAll(left)
	l.cancel(cause)

	if t != nil {
		t.cut()
	}

	close(l.parted)
	l.wg.Wait()

	if t := l.over(); t != nil {
		t.free()
	}

	close(l.released)
	l.tell(func() { l.Owner.Released(l) })
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
