package frames

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

// takeOutcomes puts as many outcomes into a frame as fit into half of it, and one at
// least. It returns their size.
func (m *Machine) takeOutcomes(frame *ptypes.Packet) int {
	size := m.takeReceipts(frame)

	if len(m.receipts) == 0 {
		// They may end what the receipts have begun, and must not come before those.
		n := min(len(m.delivered), max(m.MaxFrame/2-size, 0)/idSize+1)
		frame.Delivered, m.delivered = m.delivered[:n:n], m.delivered[n:]
		m.owed -= n
		size += n * idSize
	}

	if len(m.delivered) == 0 {
		m.delivered = nil
	}

	return size
}

// takeReceipts puts the first of the receipts into a frame.
func (m *Machine) takeReceipts(frame *ptypes.Packet) int {
	size, n := 0, 0

	for n < len(m.receipts) {
		next := proto.Size(m.receipts[n])
		if n > 0 && size+next > m.MaxFrame/2 {
			break
		}

		size += next
		m.owed -= 1 + len(m.receipts[n].GetFailures())
		n++
	}

	frame.Receipts, m.receipts = m.receipts[:n:n], m.receipts[n:]

	if len(m.receipts) == 0 {
		m.receipts = nil
	}

	return size
}

// Reply takes a receipt for the neighbour. It does not count for the bounds of the outbox.
// What follows another receipt of the same parcel that has not left yet is merged with it.
// It returns an error when there are too many: the link is over then.
func (m *Machine) Reply(r *ptypes.Receipt) error {
	if m.owed > maxReplies {
		return nil
	}

	if r.GetLast() {
		m.unanswered--
	}

	n := len(m.receipts)

	switch {
	case n > 0 && m.receipts[n-1].GetParcelId() == r.GetParcelId() &&
		len(m.receipts[n-1].GetFailures()) < maxMerged:
		before := m.receipts[n-1]
		m.owed += len(r.GetFailures())
		before.Failures = append(before.Failures, r.GetFailures()...)
		before.Reached = append(before.Reached, r.GetReached()...)
		before.Last = r.GetLast()

		if before.GetLast() {
			before.Reached = nil
		}
	default:
		m.owed += 1 + len(r.GetFailures())
		m.receipts = append(m.receipts, r)
	}

	return m.tooMany()
}

// Delivered is Reply for the last receipt of a parcel, about which there is nothing more
// to say.
func (m *Machine) Delivered(id uint64) error {
	if m.owed > maxReplies {
		return nil
	}

	m.unanswered--

	if n := len(m.receipts); n > 0 && m.receipts[n-1].GetParcelId() == id {
		m.receipts[n-1].Last, m.receipts[n-1].Reached = true, nil
	} else {
		m.owed++
		m.delivered = append(m.delivered, id)
	}

	return m.tooMany()
}

func (m *Machine) tooMany() error {
	if m.owed > maxReplies {
		return errReplies
	}

	return nil
}
