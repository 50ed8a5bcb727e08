package frames

import "time"

// beats is how many heartbeats there are in the time after which a silent neighbour
// is lost.
const beats = 3

// pulse is the sign of life that the two ends give each other: a frame is one, and an empty
// one is written in regular intervals.
type pulse struct {
	// heard is when the last frame has come.
	heard time.Time

	// beaten is the number of the last frame with content at the last heartbeat.
	beaten uint64

	// stuck is set when the stream has taken no frames since the last tick.
	stuck bool

	// due is when the next tick is.
	due time.Time
}

// Beat is what a tick finds.
type Beat struct {
	// Silent is set when the neighbour has given no sign of life for too long.
	Silent bool

	// Stuck is set when the stream takes no frames, and has not ended.
	Stuck bool

	// Quiet is set when there has been nothing but heartbeats since the last tick.
	Quiet bool

	// Next is how long it is until the next tick.
	Next time.Duration
}

func (m *Machine) interval() time.Duration {
	return m.Silence / beats
}

// FirstTick returns how long it is until the first tick.
func (m *Machine) FirstTick() time.Duration {
	return m.interval()
}

// Tick asks for a heartbeat, and looks whether the neighbour is still there.
func (m *Machine) Tick(now time.Time) Beat {
	if now.Sub(m.due) > m.interval() {
		// The process was stopped, or had no processor: what it could not read in
		// that time says nothing about the neighbour.
		m.heard = later(m.heard, now.Add(m.interval()-m.Silence))
	}

	deadline := m.heard.Add(m.Silence)
	found := Beat{
		Silent: m.connected && !now.Before(deadline),
		// Its end is not the reason: that would have been told.
		Stuck: m.connected && m.failed && m.stuck,
		Quiet: m.last == m.beaten,
	}

	m.stuck = m.failed
	m.beat = true
	m.beaten = m.last

	m.due = now.Add(m.interval())
	if m.connected && !found.Silent && deadline.Before(m.due) {
		m.due = deadline
	}

	found.Next = m.due.Sub(now)

	return found
}

// Silent tells whether the neighbour has given no sign of life for too long, now that no
// frame of it is being taken.
func (m *Machine) Silent(now time.Time) bool {
	return now.Sub(m.heard) >= m.Silence
}

// Failed tells whether the stream has not taken a frame.
func (m *Machine) Failed() bool {
	return m.failed
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}

	return b
}
