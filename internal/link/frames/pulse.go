package frames

import (
	"time"

	"github.com/minogrpc/session/internal/deadline"
	"github.com/minogrpc/session/ptypes"
)

// beats is how many heartbeats there are in the time after which a silent neighbour
// is lost.
const beats = 3

// patientBounds is how many times the bound for silence the frames of a stream may make no
// progress while its connection is alive: they may wait behind those of other streams.
const patientBounds = 3

// A tick that is late by more than one part in lateParts of a heartbeat, and by more than leastLate,
// says that the process lacks the processor. A heartbeat passes about eight goroutines on its way
// from one session to the other. Each of them may wait as long as the tick did.
const (
	lateParts = 8
	leastLate = 100 * time.Millisecond
)

// lookStep is how often this end looks at a neighbour from which nothing has come for longer than a
// heartbeat. Each look finds out whether the process has the processor.
const lookStep = 100 * time.Millisecond

// pulse is the sign of life that the two ends give each other: a frame is one, and an empty
// one is written in regular intervals. Any bytes on the connection of the stream are one,
// too, where the driver knows about them.
type pulse struct {
	// heard is when the last sign of life has come, and framed when the last frame has.
	heard, framed time.Time

	// read counts what has come, and readAt is when the last of it has: frames, or bytes of
	// the connection where watched is set.
	read    uint64
	readAt  time.Time
	watched bool

	// echo is what the neighbour has said last that it has read, and hearing when it has
	// read something the last time, as far as that is known.
	echo    uint64
	hearing time.Time

	// advanced is when the neighbour has acknowledged something the last time, or when the
	// first frame was written that it has not acknowledged.
	advanced time.Time

	// beaten is the number of the last frame with content at the last heartbeat.
	beaten uint64

	// stuck is set when the stream has taken no frames since the last tick.
	stuck bool

	// ticked is when the last tick or look was, due when the next one is, and beatAt when the next
	// tick is. looking is set while there is a look before that.
	ticked, due, beatAt time.Time
	looking             bool
}

// Beat is what a tick finds.
type Beat struct {
	// Silent is set when the neighbour has given no sign of life for too long, or does not
	// hear this end.
	Silent bool

	// Stuck is set when the stream takes no frames, and has not ended.
	Stuck bool

	// Ignored is set when the neighbour does not read its receipts, and there are too many.
	Ignored bool

	// Quiet is set when there has been nothing but heartbeats since the last tick.
	Quiet bool

	// Next is how long it is until the next tick.
	Next time.Duration
}

func (m *Machine) interval() time.Duration {
	return m.Silence / beats
}

// tolerance returns how late a tick may be that is not held up.
func (m *Machine) tolerance() time.Duration {
	return min(m.interval(), max(m.interval()/lateParts, leastLate))
}

// FirstTick returns how long it is until the first tick.
func (m *Machine) FirstTick() time.Duration {
	return m.interval()
}

// restart begins to watch a new stream.
func (m *Machine) restart(now time.Time) {
	m.heard, m.framed, m.hearing, m.advanced, m.readAt = now, now, now, now, now
	m.read, m.echo, m.watched = 0, 0, false
	m.trip.restart()
}

// Connection notes how many bytes have come over the connection of the stream, and when the
// last of them have. The driver calls it before Next and Tick if it knows that.
func (m *Machine) Connection(read uint64, last time.Time) {
	m.watched = true
	m.read, m.readAt = read, later(m.readAt, last)
	m.heard = later(m.heard, last)
}

// hear notes that a frame has come, and what it says about the frames of this end.
func (m *Machine) hear(frame *ptypes.Packet, now time.Time) {
	m.heard, m.framed = now, now

	if !m.watched {
		m.read++
		m.readAt = now
	}

	if frame.GetRead() != m.echo {
		m.echo = frame.GetRead()
		quiet := time.Duration(min(frame.GetQuietMs(), uint64(m.Silence.Milliseconds()))) * time.Millisecond
		m.hearing = later(m.hearing, now.Add(-quiet))
	}
}

// reading returns what a frame that is written now says about what this end has read.
func (m *Machine) reading(now time.Time) (read, quietMs uint64) {
	return m.read, uint64(max(now.Sub(m.readAt), 0).Milliseconds())
}

// deadline returns when the neighbour counts as silent if nothing happens until then.
func (m *Machine) deadline() time.Time {
	patient := patientBounds * m.Silence
	deadline := earlier(m.heard.Add(m.Silence), m.framed.Add(patient))

	if m.Paced {
		deadline = earlier(deadline, m.hearing.Add(m.Silence))
	}

	if m.unread.Len() > 0 {
		deadline = earlier(deadline, m.advanced.Add(patient))
	}

	return deadline
}

// Tick asks for a heartbeat, and looks whether the neighbour is still there.
func (m *Machine) Tick(now time.Time) Beat {
	m.elapse(now)

	found := Beat{
		Silent: m.connected && m.Silent(now),
		// Its end is not the reason: that would have been told.
		Stuck: m.connected && m.failed && m.stuck,
		Quiet: m.last == m.beaten,
	}

	m.stuck = m.failed
	m.beat = true
	m.beaten = m.last

	if m.Timed {
		m.trip.beaten()
	}

	found.Ignored = !m.watchReplies()
	m.beatAt = now.Add(m.interval())
	found.Next = m.plan(now, m.deadline())

	return found
}

// Looking tells whether the driver calls Look next, and not Tick.
func (m *Machine) Looking() bool {
	return m.looking
}

// Look is a tick without a heartbeat. While a neighbour seems silent, only the time counts in which the
// process gets the processor: what has come may wait to be read.
func (m *Machine) Look(now time.Time) Beat {
	m.elapse(now)

	found := Beat{Silent: m.connected && m.Silent(now)}
	found.Next = m.plan(now, m.deadline())

	return found
}

// elapse counts the time since the last tick or look. After a whole heartbeat, a moment without the processor
// says nothing about all of it.
func (m *Machine) elapse(now time.Time) {
	late, span := now.Sub(m.due), m.due.Sub(m.ticked)

	switch {
	case late > m.tolerance():
		m.forgive(now)
	case span <= lookStep:
		m.stand(now.Sub(m.ticked)-deadline.Counted(span, late), now)
	}
}

// plan decides when the next tick or look is, and returns how long it is until then.
func (m *Machine) plan(now, silent time.Time) time.Duration {
	m.ticked, m.due, m.looking = now, later(m.beatAt, now), false

	if !m.connected || !now.Before(silent) {
		return m.due.Sub(now)
	}

	m.due = earlier(m.due, silent)

	// Between healthy ends a sign of life comes with each heartbeat, and what it says is not older than
	// two.
	overdue := now.Sub(m.heard) > m.interval()+m.tolerance() || silent.Sub(now) < m.interval()-m.tolerance()

	if look := now.Add(lookStep); overdue && look.Before(m.due) {
		m.due, m.looking = look, true
	}

	return m.due.Sub(now)
}

// stand makes the time of silence stand still for so long.
func (m *Machine) stand(lost time.Duration, now time.Time) {
	if lost <= 0 {
		return
	}

	for _, mark := range []*time.Time{&m.heard, &m.framed, &m.hearing, &m.advanced} {
		*mark = earlier(mark.Add(lost), later(*mark, now))
	}
}

// forgive gives the neighbour one more heartbeat. The process was stopped, or had no
// processor: what it could not read in that time says nothing about the neighbour.
func (m *Machine) forgive(now time.Time) {
	patient := patientBounds * m.Silence
	grace := now.Add(m.interval())

	m.heard = later(m.heard, grace.Add(-m.Silence))
	m.hearing = later(m.hearing, grace.Add(-m.Silence))
	m.framed = later(m.framed, grace.Add(-patient))
	m.advanced = later(m.advanced, grace.Add(-patient))
}

// Silent tells whether the neighbour has given no sign of life for too long, now that no
// frame of it is being taken.
func (m *Machine) Silent(now time.Time) bool {
	return !now.Before(m.deadline())
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

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}

	return b
}
