package session

import "github.com/minogrpc/session/router"

// channelBuffer is how many packets the channel of a queue holds by itself, so that
// a reader who keeps up is served without a goroutine in between. It is a power of
// two, because outlet counts in a ring.
const channelBuffer = 1024

// Channel implements [Queue]. Whoever only receives from the channel gets every
// packet, those pushed before the first call included. It is closed after [Close].
func (q *NonBlockingQueue) Channel() <-chan router.Packet {
	q.mu.Lock()
	defer q.mu.Unlock()

	if q.out == nil {
		q.out = &outlet{ch: make(chan router.Packet, channelBuffer)}
		q.startPumpLocked()
	}

	return q.out.ch
}

// handLocked puts a packet into the channel, or into the backlog and sees to it
// that a pump runs.
func (q *NonBlockingQueue) handLocked(entry queued) {
	if q.pumping || !q.out.offer(entry) {
		q.backlog.Push(entry)
		q.startPumpLocked()
	}
}

// startPumpLocked starts the pump when it has something to do. Without a backlog
// that is only to close the channel of a queue that was closed before.
func (q *NonBlockingQueue) startPumpLocked() {
	if !q.pumping && (q.backlog.Len() > 0 || q.cause != nil) {
		q.pumping = true

		go q.pump()
	}
}

// pump moves the backlog into the channel, and ends with it or with Close. Each time
// it wakes it moves as many packets as there is room for, which is much cheaper than
// one at a time; but it gives the lock away now and then, so that a reader who takes
// them as fast does not keep Push waiting.
func (q *NonBlockingQueue) pump() {
	q.mu.Lock()
	defer q.mu.Unlock()

	for n := 1; q.backlog.Len() > 0; n++ {
		entry := q.backlog.Pop()

		if n%channelBuffer == 0 || !q.out.offer(entry) {
			q.sendLocked(entry)
		}
	}

	q.pumping = false

	if q.cause != nil {
		close(q.out.ch)
	}
}

// sendLocked gives the lock away until there is room for the packet in the channel.
// After Close the packet is lost.
func (q *NonBlockingQueue) sendLocked(entry queued) {
	q.mu.Unlock()

	select {
	case q.out.ch <- entry.packet:
	case <-q.stop:
	}

	q.mu.Lock()
	q.out.note(entry.size)
}

// countReceivedLocked takes what has been received from the channel off the count.
// The packet that the pump holds counts until the pump has seen it gone.
func (q *NonBlockingQueue) countReceivedLocked() {
	if q.out != nil {
		q.freeLocked(q.out.collect())
	}
}

// outlet is the channel of a queue with an account of the sizes of what is in it.
// Nobody tells a queue that a packet has been received, but the channel gives packets
// away in order, so that the number of those it still holds says which they are. The
// account therefore costs a push one addition, and whoever wants to know a few more.
type outlet struct {
	ch chan router.Packet

	// packets and bytes are all that ever went into the channel. They may overflow:
	// only differences count.
	packets, bytes uint

	// before is what bytes was before each of the last packets, by their number. No
	// more than channelBuffer of them can be in the channel.
	before [channelBuffer]uint

	// gonePackets and goneBytes are what is known to have been received.
	gonePackets, goneBytes uint
}

// offer puts a packet into the channel if there is room.
func (o *outlet) offer(entry queued) bool {
	select {
	case o.ch <- entry.packet:
		o.note(entry.size)

		return true
	default:
		return false
	}
}

// note counts a packet that went into the channel.
func (o *outlet) note(size int) {
	o.before[o.packets%channelBuffer] = o.bytes
	o.packets++
	o.bytes += uint(size)
}

// collect returns what has been received since the last time.
func (o *outlet) collect() (packets, bytes int) {
	held := uint(len(o.ch))
	gone := o.packets - held
	packets = int(gone - o.gonePackets)

	// The channel may hold one more than was noted, while the pump is about to.
	if packets <= 0 {
		return 0, 0
	}

	goneBytes := o.bytes
	if held > 0 {
		goneBytes = o.before[gone%channelBuffer]
	}

	bytes = int(goneBytes - o.goneBytes)
	o.gonePackets, o.goneBytes = gone, goneBytes

	return packets, bytes
}
