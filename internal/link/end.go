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

	if before == open {
		select {
		case <-l.flushed:
		case <-l.ended:
		case <-timer.C:
		}
	}

	for _, p := range l.Drain() {
		l.Owner.Failed(l, p, ErrClosed)
	}

	if before == open && farewell && l.conn.Goodbye() {
		// The wait before may have used up the timer.
		timer.Reset(Goodbye)

		select {
		case <-l.ended:
		case <-timer.C:
		}
	}

	l.release(ErrClosed)
}

// release stops the goroutines and frees the connection.
func (l *Link) release(cause error) {
	l.mu.Lock()
	l.state = dead
	l.work.Broadcast()

	if l.expiry != nil {
		l.expiry.Stop()
	}
	l.mu.Unlock()

	l.cancel(cause)
	close(l.parted)
	l.wg.Wait()

	if l.conn != nil {
		l.conn.Release()
	}

	l.Owner.Released(l)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
