package link

import (
	"errors"

	"github.com/minogrpc/session/ptypes"
	"google.golang.org/protobuf/proto"
)

// maxMerged bounds the failures that are put together in one receipt, which is never cut
// into several frames.
const maxMerged = 32

// maxReplies bounds what is in the receipts that a neighbour does not read: one for
// each of them, and one for each failure.
const maxReplies = 100_000

var errReplies = errors.New("the neighbour does not read its receipts")

// takeOutcomesLocked puts as many outcomes into a frame as fit into half of it, and one at
// least. It returns their size.
func (d *duplex) takeOutcomesLocked(frame *ptypes.Packet) int {
	size := d.takeReceiptsLocked(frame)

	if len(d.receipts) == 0 {
		// They may end what the receipts have begun, and must not come before those.
		n := min(len(d.delivered), max(d.MaxFrame/2-size, 0)/idSize+1)
		frame.Delivered, d.delivered = d.delivered[:n:n], d.delivered[n:]
		d.owed -= n
		size += n * idSize
	}

	if len(d.delivered) == 0 {
		d.delivered = nil
	}

	return size
}

// takeReceiptsLocked puts the first of the receipts into a frame.
func (d *duplex) takeReceiptsLocked(frame *ptypes.Packet) int {
	size, n := 0, 0

	for n < len(d.receipts) {
		next := proto.Size(d.receipts[n])
		if n > 0 && size+next > d.MaxFrame/2 {
			break
		}

		size += next
		d.owed -= 1 + len(d.receipts[n].GetFailures())
		n++
	}

	frame.Receipts, d.receipts = d.receipts[:n:n], d.receipts[n:]

	if len(d.receipts) == 0 {
		d.receipts = nil
	}

	return size
}

// Reply sends a receipt to the neighbour of a duplex link. It does not count for the
// bounds of the outbox.
func (l *Link) Reply(r *ptypes.Receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()

	if d := l.duplex; l.state <= closing && d.owed <= maxReplies {
		d.replyLocked(r)
	}
}

// Delivered is Reply for the last receipt of a parcel, about which there is nothing more
// to say.
func (l *Link) Delivered(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()

	d := l.duplex
	if l.state > closing || d.owed > maxReplies {
		return
	}

	d.unanswered--

	if n := len(d.receipts); n > 0 && d.receipts[n-1].GetParcelId() == id {
		d.receipts[n-1].Last, d.receipts[n-1].Reached = true, nil
	} else {
		d.owed++
		d.delivered = append(d.delivered, id)
	}

	d.replyDueLocked()
}

// replyDueLocked sees to it that the outcomes leave, unless there are too many.
func (d *duplex) replyDueLocked() {
	if d.owed > maxReplies {
		// The caller may hold the lock of the outcomes, which the loss will need.
		go d.link.Fail(errReplies)
	}

	d.wakeLocked()
}

// replyLocked takes an outcome for the neighbour. What follows another of the same
// parcel that has not left yet is merged with it.
func (d *duplex) replyLocked(r *ptypes.Receipt) {
	if r.GetLast() {
		d.unanswered--
	}

	n := len(d.receipts)

	switch {
	case n > 0 && d.receipts[n-1].GetParcelId() == r.GetParcelId() &&
		len(d.receipts[n-1].GetFailures()) < maxMerged:
		before := d.receipts[n-1]
		d.owed += len(r.GetFailures())
		before.Failures = append(before.Failures, r.GetFailures()...)
		before.Reached = append(before.Reached, r.GetReached()...)
		before.Last = r.GetLast()

		if before.GetLast() {
			before.Reached = nil
		}
	default:
		d.owed += 1 + len(r.GetFailures())
		d.receipts = append(d.receipts, r)
	}

	d.replyDueLocked()
}
