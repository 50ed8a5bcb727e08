package frames

import (
	"time"

	"github.com/minogrpc/session/internal/fifo"
	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
)

// outgoing is what a machine writes.
type outgoing struct {
	pace
	replies

	// order holds what has not been written.
	order order
	// transfer is the large message that is being written, or nil.
	transfer *transfer
	chunks   uint64
	// unsettled counts the parcels that the neighbour has not answered, also those
	// that nobody waits for any more: they count there, too.
	unsettled int

	// beat asks for a frame even if there is no content.
	beat bool
	// farewell asks for the last frame, and left is set when that is on its way.
	farewell, left bool

	// spare is memory for the parcels of the next frame. It belongs to the writer.
	spare []*parcel.Parcel

	// last is the number of the last frame. unread holds those that the neighbour is
	// not known to have received, and resend is the place of the next to write.
	last        uint64
	unread      fifo.List[numbered]
	unreadBytes int
	resend      int
}

// numbered is a frame with content.
type numbered struct {
	timing

	frame *ptypes.Packet
	size  int
	// outcomes is what those in it count for in the budget, in bytes.
	outcomes int
	// parcels are those in it that the owner has not been told about.
	parcels []*parcel.Parcel
}

// Push lets a parcel wait that the box holds.
func (m *Machine) Push(p *parcel.Parcel) {
	m.order.push(p)
}

// Farewell asks for the last frame, which leaves when nothing else waits.
func (m *Machine) Farewell() {
	m.farewell = true
}

// Due tells whether there is something to write.
func (m *Machine) Due() bool {
	return m.content() || m.beat || m.farewell || m.resend < m.unread.Len()
}

// Busy tells whether something waits to be written, if only for room: what this end owes goes
// before its goodbye.
func (m *Machine) Busy() bool {
	if m.fault == hastyGoodbye {
		return false
	}

	return m.Due() || len(m.receipts) > 0 || len(m.delivered) > 0
}

// Unread tells whether there are frames that the neighbour is not known to have received.
// If there are none, no stream makes the writer of the next one wait.
func (m *Machine) Unread() bool {
	return m.unread.Len() > 0
}

// Next returns a frame to write now, with the parcels in it that leave with it for the first
// time. It returns none when a frame has to be composed first, or nothing is due.
func (m *Machine) Next(now time.Time) (*ptypes.Packet, []*parcel.Parcel) {
	hasty := m.fault == hastyGoodbye && m.farewell

	switch {
	case m.resend < m.unread.Len():
		next := m.unread.At(m.resend)
		parcels := next.parcels
		next.parcels = nil
		m.leave(next, now)
		m.resend++

		return m.stamp(next.frame, now), parcels
	case m.content() && !hasty:
		return nil, nil
	default:
		return m.sign(now), nil
	}
}

// stamp adds what goes with every frame.
func (m *Machine) stamp(frame *ptypes.Packet, now time.Time) *ptypes.Packet {
	frame.Received = m.received
	frame.Cut = m.Dialler && m.isCut
	m.untold = 0

	if m.Paced && m.beat {
		frame.Read, frame.QuietMs = m.reading(now)
	}

	m.beat = false
	m.trip.stamp(frame, now)

	return frame
}

// sign returns a frame without content, if one is asked for.
func (m *Machine) sign(now time.Time) *ptypes.Packet {
	switch {
	case m.farewell:
		m.farewell, m.left = false, true

		return m.stamp(&ptypes.Packet{Goodbye: true}, now)
	case m.beat:
		frame := &ptypes.Packet{Ask: m.nudge}
		m.nudge = false

		return m.stamp(frame, now)
	default:
		return nil
	}
}

// Recycle takes back the list of parcels that Next has returned. It is called without the
// lock, by the writer.
func (m *Machine) Recycle(parcels []*parcel.Parcel) {
	m.spare = emptied(parcels)
}

// Stalled notes that the stream with that number has not taken a frame. The parcels in it
// will leave with another stream.
func (m *Machine) Stalled(epoch, number uint64, parcels []*parcel.Parcel) {
	if confirmed := m.acknowledged(); number > confirmed {
		m.unread.At(int(number - confirmed - 1)).parcels = parcels
	}

	if m.epoch == epoch && m.connected {
		m.failed = true
	}
}

func (m *Machine) content() bool {
	if m.full() {
		return false
	}

	return len(m.receipts) > 0 || len(m.delivered) > 0 || m.transfer != nil ||
		m.order.len() > 0 && m.unsettled < m.bounds.unsettled
}

// confirm forgets the frames up to the one that the neighbour has received. A zero now says
// that nothing can be learned from when it says so.
func (m *Machine) confirm(received uint64, now time.Time) error {
	if received > m.last || received+uint64(m.unread.Len()) < m.last {
		return ErrProtocol
	}

	for m.acknowledged() < received {
		n := m.unread.Pop()
		m.unreadBytes -= n.size
		m.heardReplies(n.outcomes)
		m.resend--
		m.advanced = later(m.advanced, now)
		m.arrived(n, now)
	}

	m.resend = max(m.resend, 0)
	m.unstall()

	return nil
}

// acknowledged returns the number of the last frame that the neighbour is known to have
// received.
func (m *Machine) acknowledged() uint64 {
	return m.last - uint64(m.unread.Len())
}
