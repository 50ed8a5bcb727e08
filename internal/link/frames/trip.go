package frames

import (
	"time"

	"github.com/minogrpc/session/ptypes"
)

// probeEvery is how many heartbeats there are for each question how long the way takes.
const probeEvery = beats

// probes is how many numbers there are for questions. They are small, because each frame has room for
// a question and an answer.
const probes = 1 << 20

// trip measures how long the way to the neighbour and back takes: a frame asks a question, and the
// neighbour answers at once. Frames with content measure the same where a link is paced, and only when
// there are some.
type trip struct {
	// beats counts the heartbeats since the last question.
	beats int
	// want is set when the next frame is to ask.
	want bool
	// probe is the number of the last question, and asked when it left. That is zero when no answer
	// is expected.
	probe uint64
	asked time.Time
	// answer is the question that the next frame answers, or 0.
	answer uint64
	// took is what the last answer took, or 0 when there was none. fresh is set when a question has been
	// answered and nobody has been told.
	took  time.Duration
	fresh bool
}

// RoundTrip returns how long the way to the neighbour and back took the last time, or zero when that is
// not known.
func (m *Machine) RoundTrip() time.Duration {
	return m.trip.took
}

// Measured is RoundTrip after a question has been answered, once.
func (m *Machine) Measured() (took time.Duration, ok bool) {
	ok, m.trip.fresh = m.trip.fresh, false

	return m.trip.took, ok
}

// beaten counts a heartbeat. The first one asks, so that the time is known soon.
func (t *trip) beaten() {
	t.want = t.want || t.beats == 0
	t.beats = (t.beats + 1) % probeEvery
}

// restart forgets the question of a stream that has ended.
func (t *trip) restart() {
	t.asked = time.Time{}
	t.answer = 0
}

// stamp adds the next question and the next answer to a frame, which may have been written before.
func (t *trip) stamp(frame *ptypes.Packet, now time.Time) {
	frame.Probe, frame.Probed = 0, t.answer
	t.answer = 0

	if t.want {
		t.want = false
		t.probe = t.probe%(probes-1) + 1
		t.asked = now
		frame.Probe = t.probe
	}
}

// hear takes the question and the answer of the neighbour. It tells whether there is a question.
func (t *trip) hear(frame *ptypes.Packet, now time.Time) (question bool) {
	if frame.GetProbed() == t.probe && !t.asked.IsZero() {
		t.took = max(now.Sub(t.asked), 0)
		t.asked = time.Time{}
		t.fresh = true
	}

	if frame.GetProbe() == 0 {
		return false
	}

	t.answer = frame.GetProbe() % probes

	return true
}
