package frames

import (
	"time"

	"github.com/minogrpc/session/ptypes"
)

// The window bounds what is written and not acknowledged, in bytes. It follows what the way
// to the neighbour carries: whatever is written beyond that waits in buffers on the way, and
// small messages, receipts and signs of life wait behind it.
const (
	// firstWindow is that of a new link. It is little, because many links may share a slow
	// connection, and grows within a few round trips on a fast one.
	firstWindow = 8 << 10

	// minWindow keeps a link going over the slowest connection.
	minWindow = 2 << 10

	// minPaced is the size below which frames are not made smaller: the rest would be
	// overhead.
	minPaced = 1 << 10

	// windowFrames is how many frames a full window has. The neighbour is asked for an
	// acknowledgement twice as often if the frames are smaller.
	windowFrames = 4

	// maxChange bounds how much one acknowledgement changes the window.
	maxChange = 4

	// lag is how long frames may wait on the way beyond the time that it takes anyway.
	lag = 300 * time.Millisecond

	// maxBase bounds what counts as the time that the way takes anyway, unless next to
	// nothing was on it.
	maxBase = time.Second
)

// pace is what a machine knows about the way to the neighbour.
type pace struct {
	window int
	// base is how long an acknowledgement takes when nothing of this link is waiting.
	base time.Duration
	// acked counts the bytes that have been acknowledged, and unasked those that have left
	// since the last frame that asks for it. asks counts such frames that are unread.
	acked   int64
	unasked int
	asks    int
	// nudge makes the next frame without content ask, too.
	nudge bool
}

// timing is what a frame remembers of the moment at which it was written.
type timing struct {
	asked bool
	at    time.Time
	acked int64
}

// frameSize returns how large the next frame may be.
func (m *Machine) frameSize() int {
	if !m.Paced {
		return m.MaxFrame
	}

	return min(max(m.window/windowFrames, minPaced), m.MaxFrame)
}

// full tells whether no more may be written for now.
func (m *Machine) full() bool {
	limit := m.bounds.unreadBytes
	if m.Paced {
		limit = min(limit, m.window)
	}

	return m.unread.Len() >= m.bounds.unread || m.unreadBytes >= limit
}

// leave notes that a frame with content is being written, and decides whether it asks for an
// acknowledgement at once.
func (m *Machine) leave(n *numbered, now time.Time) {
	if m.resend == 0 {
		m.advanced = now
	}

	if !m.Paced {
		return
	}

	m.unasked += n.size
	n.frame.Ask = m.unasked >= m.window/windowFrames/2

	if n.asked {
		m.asks-- // by the stream before
	}

	n.timing = timing{asked: n.frame.GetAsk(), at: now, acked: m.acked}

	if n.asked {
		m.unasked = 0
		m.asks++
	}
}

// arrived notes that the neighbour has a frame. It measures nothing when now is zero.
func (m *Machine) arrived(n numbered, now time.Time) {
	m.acked += int64(n.size)

	if !n.asked {
		return
	}

	m.asks--

	if !now.IsZero() {
		m.measure(n, now.Sub(n.at))
	}
}

// measure changes the window by an acknowledgement that was asked for and took that long.
// Meanwhile as much was acknowledged as the way can carry, or as this link had to send.
func (m *Machine) measure(n numbered, took time.Duration) {
	took = max(took, time.Microsecond)
	m.trip.took = took

	switch {
	case m.window <= minWindow:
		// Next to nothing of this link was on the way.
		m.base = took
	default:
		m.base = min(m.base, took)
	}

	// A longer way needs more on it before the rate can be seen to grow.
	limit := m.base + max(lag, m.base/4)
	rate := float64(m.acked-n.acked) / took.Seconds()
	want := int(min(rate*limit.Seconds(), maxUnreadBytes))

	if took <= m.base+lag/4 && m.unreadBytes+n.size >= m.window/2 {
		// Nothing waits on the way, however long that is.
		want = max(want, m.window+n.size)
	}

	switch {
	case want > m.window:
		m.window = min(want, maxChange*m.window, maxUnreadBytes)
	case took > limit:
		m.window = max(want, m.window/maxChange, minWindow)
	}
}

// unstall asks for an acknowledgement when the window is full of frames that do not: it has
// become smaller since.
func (m *Machine) unstall() {
	if m.Paced && m.asks == 0 && m.unread.Len() > 0 && m.full() {
		m.beat, m.nudge = true, true
	}
}

// prompt has what has come acknowledged at once, if the neighbour asks for that.
func (m *Machine) prompt(frame *ptypes.Packet) {
	m.asked = m.asked || frame.GetAsk()
}
