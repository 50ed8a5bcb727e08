package session

import "github.com/minogrpc/session/internal/inbox"

// startPumpLocked starts the pump, unless it runs or has nothing to do.
func (q *NonBlockingQueue) startPumpLocked() {
	if q.out != nil && !q.pumping && q.backlog.Len() > 0 {
		q.pumping = true

		go q.pump()
	}
}

// pump moves the backlog into the channel, and ends with the backlog or with Close. Each
// time it wakes it moves as many packets as there is room for, which is much cheaper than
// one at a time. But it gives the lock away now and then: otherwise a reader that takes
// packets as fast would keep Push waiting.
func (q *NonBlockingQueue) pump() {
	q.mu.Lock()
	defer q.mu.Unlock()

	for n := 1; q.backlog.Len() > 0; n++ {
		entry := q.backlog.Pop()

		if n%channelBuffer == 0 || !q.offerLocked(entry) {
			q.sendLocked(entry)
		}
	}

	q.pumping = false

	if q.closed {
		close(q.out)
	}
}

// offerLocked puts a packet into the channel if there is room.
func (q *NonBlockingQueue) offerLocked(entry inbox.Entry) bool {
	select {
	case q.out <- entry.Packet:
		q.noteLocked(entry.Size)

		return true
	default:
		return false
	}
}

// sendLocked gives the lock away until there is room for the packet in the channel.
// After Close the packet is lost.
func (q *NonBlockingQueue) sendLocked(entry inbox.Entry) {
	q.mu.Unlock()

	select {
	case q.out <- entry.Packet:
	case <-q.stop:
	}

	q.mu.Lock()
	q.noteLocked(entry.Size)
}

// noteLocked notes that a packet of that size went into the channel. The ring has twice the
// places that the channel has, so that there is always one to note in.
func (q *NonBlockingQueue) noteLocked(size int) {
	if q.noted-q.gone == uint(len(q.sizes)) {
		q.countReceivedLocked()
	}

	q.sizes[q.noted%uint(len(q.sizes))] = size
	q.noted++
}

// countReceivedLocked takes the packets that were received from the channel off the
// count. A channel does not report receives. But it is first in, first out, so its length
// tells which packets are still in it. The packet that the pump sends without the lock
// counts until the pump has the lock again.
func (q *NonBlockingQueue) countReceivedLocked() {
	// The channel may hold one packet more than was noted, while noteLocked is called.
	for held := len(q.out); int(q.noted-q.gone) > held; q.gone++ {
		q.bounds.Free(q.sizes[q.gone%uint(len(q.sizes))])
	}
}
