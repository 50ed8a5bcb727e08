package session

import "github.com/minogrpc/session/router"

// channelBuffer is how many packets the channel of a queue holds by itself, so that
// a reader who keeps up is served without a goroutine in between.
const channelBuffer = 128

// Channel implements [Queue]. Whoever only receives from the channel gets every
// packet, those pushed before the first call included. It is closed after [Close].
func (q *NonBlockingQueue) Channel() <-chan router.Packet {
	q.mu.Lock()
	defer q.mu.Unlock()

	if q.out == nil {
		q.out = make(chan router.Packet, channelBuffer)
		q.startPumpLocked()
	}

	return q.out
}

// handLocked puts a packet into the channel, or into the backlog and sees to it
// that a pump runs.
func (q *NonBlockingQueue) handLocked(entry queued) {
	if !q.pumping {
		select {
		case q.out <- entry.packet:
			q.handed.push(entry.size)

			return
		default:
		}
	}

	q.backlog.push(entry)
	q.startPumpLocked()
}

// startPumpLocked starts the pump when it has something to do. Without a backlog
// that is only to close the channel of a queue that was closed before.
func (q *NonBlockingQueue) startPumpLocked() {
	if !q.pumping && (q.backlog.size > 0 || q.cause != nil) {
		q.pumping = true

		go q.pump()
	}
}

// pump moves the backlog into the channel, and ends with it or with Close.
func (q *NonBlockingQueue) pump() {
	q.mu.Lock()
	defer q.mu.Unlock()

	for q.backlog.size > 0 {
		entry := q.backlog.pop()
		q.mu.Unlock()

		select {
		case q.out <- entry.packet:
		case <-q.stop:
		}

		q.mu.Lock()
		q.handed.push(entry.size)
	}

	q.pumping = false

	if q.cause != nil {
		close(q.out)
	}
}

// countReceivedLocked takes what has been received from the channel off the count.
// Nobody tells a queue about that, but the channel gives packets away in order, so
// that the number of those it still holds says which they are. The packet that the
// pump holds counts until the pump has seen it gone.
func (q *NonBlockingQueue) countReceivedLocked() {
	for q.handed.size > len(q.out) {
		q.freeLocked(q.handed.pop())
	}
}
