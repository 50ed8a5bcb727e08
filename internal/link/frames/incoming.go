package frames

import (
	"fmt"
	"time"

	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
)

// ackEvery is how much may come, in bytes of the messages, before the neighbour is
// told so even if there is nothing else to tell.
const ackEvery = 256 << 10

// Arrival is a parcel that has come over a duplex link.
type Arrival struct {
	*ptypes.Parcel

	// Err is why the message is not there, [ErrTooLarge] or the error of the budget.
	// The parcel then has neither header nor body.
	Err error
}

// incoming is what a machine reads.
type incoming struct {
	// received is the number of the last frame with content, and untold how much has
	// come since the neighbour was told.
	received uint64
	untold   int
	// asked is set when the neighbour wants to know at once what has come.
	asked bool

	// unanswered counts the parcels that have not got their last receipt.
	unanswered int

	// answers and arrivals are memory for those of the next frame. They belong to the
	// reader.
	answers  []Answered
	arrivals []Arrival

	// partial is the large message that is coming, admitted when the last frame has come, and
	// opened when its stream was opened. They belong to the reader.
	partial          partial
	admitted, opened time.Time

	// over is set when the neighbour has said goodbye.
	over bool
}

// Answered is a parcel of this end with what a frame says about it.
type Answered struct {
	Parcel *parcel.Parcel

	receipt *ptypes.Receipt
}

// Answer returns what the frame says.
func (a Answered) Answer() parcel.Answer {
	r := a.receipt

	return parcel.Answer{Failures: r.GetFailures(), Reached: r.GetReached(), Last: r.GetLast()}
}

// keep is how many places a list keeps for the next frame at most.
const keep = 64

// emptied returns the memory of a list for the next frame, unless it is much.
func emptied[T any](list []T) []T {
	if cap(list) > keep {
		return nil
	}

	clear(list)

	return list[:0]
}

// Admit notes that a frame has come over the stream, and tells whether it has content. If
// it has, Assemble and Settle follow. After an error the link is over: the frame is not the
// one that is expected.
func (m *Machine) Admit(frame *ptypes.Packet, now time.Time) (content bool, err error) {
	m.hear(frame, now)
	m.admitted, m.opened = now, m.began

	if err := m.confirm(frame.GetReceived(), now); err != nil {
		return false, err
	}

	m.hearCut(frame.GetCut())
	m.prompt(frame)

	if m.trip.hear(frame, now) {
		m.asked = true
	}

	if frame.GetFrame() == 0 {
		return false, nil
	}

	if frame.GetFrame() != m.received+1 {
		return false, fmt.Errorf("%w: frame %d after %d", ErrProtocol, frame.GetFrame(), m.received)
	}

	m.received++
	m.untold += contentSize(frame)
	m.unanswered += len(frame.GetParcels())

	if m.unanswered > 2*m.bounds.unsettled {
		return false, fmt.Errorf("%w: more than %d parcels without an outcome", ErrProtocol, MaxUnsettled)
	}

	if m.fault != none {
		m.admitWrongly(frame)
	}

	return true, nil
}

// admitWrongly makes the mistakes that a test has planted.
func (m *Machine) admitWrongly(frame *ptypes.Packet) {
	for _, p := range frame.GetParcels() {
		if m.fault == earlyReceipt {
			_ = m.Delivered(p.GetId())
		}

		if m.fault == countedTwice {
			m.received++
		}
	}
}

// contentSize returns the bytes of the messages in a frame, and one for the frame.
func contentSize(frame *ptypes.Packet) int {
	size := 1

	for _, c := range frame.GetChunks() {
		size += len(c.GetData())
	}

	for _, p := range frame.GetParcels() {
		size += len(p.GetBody())
	}

	return size
}

// Part notes the goodbye in a frame that has been admitted. It tells whether that is the
// first one.
func (m *Machine) Part(frame *ptypes.Packet) bool {
	first := frame.GetGoodbye() && !m.over
	m.over = m.over || first

	return first
}

// Settle finds the parcels that the receipts of a frame are about, and takes those out of
// the box about which there is nothing more to come. What is not in the box is ignored: it
// has been settled already.
func (m *Machine) Settle(frame *ptypes.Packet) []Answered {
	if len(frame.GetReceipts())+len(frame.GetDelivered()) == 0 {
		return nil
	}

	answers := m.answers

	for _, r := range frame.GetReceipts() {
		answers = m.settle(answers, r.GetParcelId(), r)
	}

	for _, id := range frame.GetDelivered() {
		answers = m.settle(answers, id, deliveredAll)
	}

	return answers
}

// deliveredAll is the receipt of a parcel that has reached all its destinations.
var deliveredAll = &ptypes.Receipt{Last: true}

func (m *Machine) settle(answers []Answered, id uint64, r *ptypes.Receipt) []Answered {
	if r.GetLast() && m.fault != shrinkingWindow {
		m.unsettled = max(m.unsettled-1, 0)
	}

	p := m.Box.Find(id)
	if p == nil || !p.Sent {
		return answers
	}

	if r.GetLast() {
		m.Box.Remove(p)
	} else {
		// In the same step as it is looked up: whoever drains the link must leave out
		// what the owner is about to be told.
		p.Note(r)
	}

	return append(answers, Answered{Parcel: p, receipt: r})
}

// Told notes that the owner has been told about a frame, and takes the lists back. If much
// has come, the neighbour is to be told so. What was in the frame may be large, and is not
// kept.
func (m *Machine) Told(answers []Answered, arrivals []Arrival) {
	m.answers, m.arrivals = emptied(answers), emptied(arrivals)
	m.beat = m.beat || m.asked || m.untold >= ackEvery
	m.asked = false
}
