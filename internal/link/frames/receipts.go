package frames

import (
	"errors"
	"strings"

	"github.com/minogrpc/session/ptypes"
	"google.golang.org/protobuf/proto"
)

// maxMerged bounds the failures that are put together in one receipt.
const maxMerged = 32

// maxReplies is how many replies may wait for a neighbour that takes no frames: one for each
// receipt, and one for each failure. While the neighbour takes frames there may be more: one
// packet can have very many destinations. There has to be memory for all of them.
const maxReplies = 100_000

const (
	// replySize is what one of those counts for in the budget, in bytes, until the neighbour has
	// received it, and deliveredSize is the same for a number alone.
	replySize     = 512
	deliveredSize = 16

	// freeReplies is what a link has for nothing, in bytes, and replyBlock how much it takes of the
	// budget at once. Most links owe little, and the budget belongs to all of them.
	freeReplies = 8 << 10
	replyBlock  = 16 << 10
)

// leastFailure is what a failure counts for at least, in bytes: a receiver refuses frames with
// more failures than that for their size.
const leastFailure = 8

// ErrReplies is the loss of a neighbour for which too many replies wait, or for which there is no
// memory.
var ErrReplies = errors.New("the neighbour does not read its receipts")

// replies are the outcomes that have not been written.
type replies struct {
	receipts  []*ptypes.Receipt
	delivered []uint64

	// owed is how many they count for. unheard is what those in the frames that the neighbour has
	// not received count for in the budget, and reserved what all take of it, in bytes.
	owed, unheard, reserved int
	// seen is the last frame that was acknowledged at the last tick, and waited is set when
	// there was another one. ignored is set when it had not been acknowledged a tick later.
	seen            uint64
	waited, ignored bool
}

// takeOutcomes puts as many outcomes into a frame as fit into the room, and one at least. It
// returns their size, and what they count for in the budget.
func (m *Machine) takeOutcomes(frame *ptypes.Packet, room int) (size, weight int) {
	before := m.weight()
	size = m.takeReceipts(frame, room)

	if len(m.receipts) == 0 && len(m.delivered) > 0 && (size == 0 || size+packedSize(1) <= room) {
		// They may end what the receipts have begun, and must not come before those.
		n := min(len(m.delivered), max((room-size-tagSize)/idSize, 1))
		frame.Delivered, m.delivered = m.delivered[:n:n], m.delivered[n:]
		m.owed -= n
		size += packedSize(n)
	}

	if len(m.delivered) == 0 {
		m.delivered = nil
	}

	weight = before - m.weight()
	m.unheard += weight

	return size, weight
}

// weight returns what the outcomes that have not been written count for in the budget, in bytes.
func (m *Machine) weight() int {
	return replySize*(m.owed-len(m.delivered)) + deliveredSize*len(m.delivered)
}

// packedSize returns how much so many ids take in a frame, at most.
func packedSize(n int) int {
	return tagSize + n*idSize
}

// takeReceipts puts the first of the receipts into a frame.
func (m *Machine) takeReceipts(frame *ptypes.Packet, room int) int {
	size := 0

	for len(m.receipts) > 0 {
		next := m.receipts[0]
		if sizeOfReceipt(next) > room-size {
			if size > 0 {
				break
			}

			next = m.splitReceipt(room)
		}

		size += sizeOfReceipt(next)
		m.owed -= len(next.GetFailures())

		if next == m.receipts[0] {
			m.owed--
			m.receipts = m.receipts[1:]
		}

		frame.Receipts = append(frame.Receipts, next)
	}

	if len(m.receipts) == 0 {
		m.receipts = nil
	}

	return size
}

// sizeOfReceipt returns what a receipt counts for in a frame.
func sizeOfReceipt(r *ptypes.Receipt) int {
	return max(fieldSize(proto.Size(r)), leastFailure*len(r.GetFailures()))
}

// splitReceipt returns a receipt with what fits of the first one, and one failure or place at
// least. The rest stays. A failure that fits into no frame loses its words.
func (m *Machine) splitReceipt(room int) *ptypes.Receipt {
	whole := m.receipts[0]
	part := &ptypes.Receipt{ParcelId: whole.GetParcelId()}
	left := room - tagSize - 2*idSize

	for len(whole.GetFailures()) > 0 {
		f := whole.GetFailures()[0]

		size := max(fieldSize(proto.Size(f)), leastFailure)
		if len(part.GetFailures()) > 0 && size > left {
			return part
		}

		if size > m.hardRoom()/2 {
			shorten(f, m.hardRoom()/2)
		}

		part.Failures = append(part.Failures, f)
		whole.Failures = whole.GetFailures()[1:]
		left -= size
	}

	if n := min(len(whole.GetReached()), max(left, idSize)/idSize); n > 0 && len(part.GetFailures()) == 0 {
		part.Reached, whole.Reached = whole.GetReached()[:n:n], whole.GetReached()[n:]
	}

	if len(whole.GetFailures())+len(whole.GetReached()) == 0 {
		part.Last = whole.GetLast()
		// It counts as the whole.
		m.receipts[0] = part
	}

	return part
}

// shorten makes a failure fit. Without its destination it is about everything that nobody
// has said anything about, so that it may claim nothing.
func shorten(f *ptypes.Failure, room int) {
	f.Hop = nil
	spare := room - len(f.GetDestination()) - 4*idSize

	if spare < 0 {
		f.Destination, f.Reason, spare = nil, ptypes.Reason_REASON_TIMEOUT, room-4*idSize
	}

	f.Cause = strings.ToValidUTF8(f.GetCause()[:min(len(f.GetCause()), spare)], "")
}

// Reply takes a receipt for the neighbour. It does not count for the bounds of the outbox.
// What follows another receipt of the same parcel that has not left yet is merged with it.
// It returns an error when there are too many: the link is over then.
func (m *Machine) Reply(r *ptypes.Receipt) error {
	n := 1 + len(r.GetFailures())
	if err := m.admitReply(n, replySize*n); err != nil {
		return err
	}

	if r.GetLast() {
		m.unanswered--
	}

	last := len(m.receipts) - 1

	switch {
	case last >= 0 && m.receipts[last].GetParcelId() == r.GetParcelId() &&
		len(m.receipts[last].GetFailures()) < maxMerged:
		before := m.receipts[last]
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

	return nil
}

// Delivered is Reply for the last receipt of a parcel, about which there is nothing more
// to say.
func (m *Machine) Delivered(id uint64) error {
	if err := m.admitReply(1, deliveredSize); err != nil {
		return err
	}

	m.unanswered--

	if n := len(m.receipts); n > 0 && m.receipts[n-1].GetParcelId() == id {
		m.receipts[n-1].Last, m.receipts[n-1].Reached = true, nil
	} else {
		m.owed++
		m.delivered = append(m.delivered, id)
	}

	return nil
}

// admitReply returns an error when no more replies may wait that count for so many bytes. Beyond
// maxReplies the neighbour must be taking frames. The news that the budget is used up needs room, too.
func (m *Machine) admitReply(n, bytes int) error {
	if m.ignored && m.owed+n > maxReplies {
		return ErrReplies
	}

	missing := m.weight() + m.unheard + bytes - freeReplies - m.reserved
	if missing <= 0 {
		return nil
	}

	missing = (missing + replyBlock - 1) / replyBlock * replyBlock
	if !m.Box.Budget.ReserveSpare(missing) {
		return ErrReplies
	}

	m.reserved += missing

	return nil
}

// heardReplies frees the memory of replies that the neighbour has received.
func (m *Machine) heardReplies(weight int) {
	m.unheard -= weight

	if weight > 0 {
		m.giveBack()
	}
}

// giveBack frees the memory that is not needed any more, in whole blocks.
func (m *Machine) giveBack() {
	needed := max(m.weight()+m.unheard-freeReplies, 0)

	if spare := (m.reserved - needed) / replyBlock * replyBlock; spare > 0 {
		m.Box.Budget.Release(spare)
		m.reserved -= spare
	}
}

// watchReplies looks at each tick whether the neighbour takes frames. It returns false when
// too many replies wait for that.
func (m *Machine) watchReplies() bool {
	m.ignored = m.waited && m.acknowledged() == m.seen
	m.seen, m.waited = m.acknowledged(), m.unread.Len() > 0

	return !m.ignored || m.owed <= maxReplies
}

// Forget gives up the replies that have not left: the link has ended.
func (m *Machine) Forget() {
	m.receipts, m.delivered, m.owed, m.unheard = nil, nil, 0, 0
	m.giveBack()
}
