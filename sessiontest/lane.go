package sessiontest

import (
	"sync"
	"time"
)

// lane is the wire that all connections in one direction between two nodes share while its bandwidth is
// limited. Its lock is acquired after that of a connection.
type lane struct {
	mu sync.Mutex
	// rate is in bytes per second. Zero is no limit.
	rate int
	// free is when the last byte that was given to the lane has left it.
	free time.Time
}

// The bytes of one Write leave in pieces, each of which takes about pieceTime. So a receiver sees bytes
// all the time, and not all at once after a while.
const (
	pieceTime = 10 * time.Millisecond
	minPiece  = 512
)

// set changes the rate for bytes that are written from now on.
func (l *lane) set(rate int) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.rate, l.free = rate, time.Time{}
}

// limit returns how many bytes a pipe over the lane holds, and how many of them leave in
// one piece. Zero is no limit.
func (l *lane) limit(delay time.Duration) (held, piece int) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.rate == 0 {
		return 0, 0
	}

	// Bytes that are on their way for the delay do not wait in a buffer.
	flying := min(float64(windowSize), float64(l.rate)*delay.Seconds())

	return min(bufferSize+int(flying), windowSize), max(int(float64(l.rate)*pieceTime.Seconds()), minPiece)
}

// send puts bytes on the wire, behind all others, and returns when the last of them has left.
func (l *lane) send(bytes int, now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.rate == 0 || bytes == 0 {
		return now
	}

	if l.free.Before(now) {
		l.free = now
	}

	l.free = l.free.Add(time.Duration(bytes) * time.Second / time.Duration(l.rate))

	return l.free
}
