package link

import (
	"time"

	"github.com/minogrpc/session/internal/contain"
)

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

	l.failAll(l.Drain())

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
	conn, d := l.over()
	if d != nil {
		return d.sayGoodbye()
	}

	ends, err := contain.Call(func() (bool, error) { return conn.Goodbye(), nil })

	return ends && err == nil
}

// over returns what the link goes over, which is nothing while it is connecting. The
// dial may still succeed while the link ends.
func (l *Link) over() (Conn, *duplex) {
	l.mu.Lock()
	defer l.mu.Unlock()

	return l.conn, l.duplex
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

	// Who is told of a loss takes these, unless that is prevented.
	left, d := l.drainLocked(), l.duplex

	if l.expiry != nil {
		l.expiry.Stop()
	}

	if d != nil {
		stream = d.endLocked()
	}
	l.mu.Unlock()

	l.failAll(left)
	l.cancel(cause)

	if stream != nil {
		d.letGo(stream)
	}

	if d != nil {
		d.turn.Lock()
		d.dropPartial()
		d.turn.Unlock()
	}

	close(l.parted)
	l.wg.Wait()

	if conn, _ := l.over(); conn != nil {
		_ = contain.Do(conn.Release) // There is nothing more to end.
	}

	close(l.released)
	l.tell(func() { l.Owner.Released(l) })
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
