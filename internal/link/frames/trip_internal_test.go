package frames

import (
	"testing"
	"time"

	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

// survey is a machine that measures, and the time.
type survey struct {
	*testing.T

	m   *Machine
	now time.Time
}

func newSurvey(t *testing.T) *survey {
	e := &survey{T: t, m: machineOf(true), now: still}
	e.m.Timed = true

	return e
}

// after lets time pass.
func (e *survey) after(d time.Duration) *survey {
	e.now = e.now.Add(d)

	return e
}

// writes returns the next frame, which must be there.
func (e *survey) writes() *ptypes.Packet {
	frame, _ := e.m.Next(e.now)
	require.NotNil(e, frame)

	return copyFrame(frame)
}

func (e *survey) hears(frame *ptypes.Packet) {
	_, err := e.m.Admit(frame, e.now)
	require.NoError(e, err)
	e.m.Told(nil, nil)
}

// Promise P3: a link knows how long the way to the neighbour and back takes, though nothing is sent.
func TestTrip_IsMeasuredByHeartbeats(t *testing.T) {
	e := newSurvey(t)
	require.Zero(t, e.m.RoundTrip())

	e.m.Tick(e.now)
	question := e.writes()
	require.EqualValues(t, 1, question.GetProbe())

	// A frame that has been on its way before is no answer.
	e.after(time.Millisecond).hears(&ptypes.Packet{})
	require.Zero(t, e.m.RoundTrip())

	e.after(299 * time.Millisecond).hears(&ptypes.Packet{Probed: question.GetProbe()})
	require.Equal(t, 300*time.Millisecond, e.m.RoundTrip())

	// The same answer once more says nothing.
	e.after(time.Second).hears(&ptypes.Packet{Probed: question.GetProbe()})
	require.Equal(t, 300*time.Millisecond, e.m.RoundTrip())

	for range probeEvery - 1 {
		e.m.Tick(e.after(time.Second).now)
		require.Zero(t, e.writes().GetProbe(), "not each heartbeat asks")
	}

	e.m.Tick(e.after(time.Second).now)
	require.EqualValues(t, 2, e.writes().GetProbe())
}

// A question is answered at once, and once, however large its number is.
func TestTrip_AnswersAtOnce(t *testing.T) {
	e := newSurvey(t)
	require.False(t, e.m.Due())

	e.hears(&ptypes.Packet{Probe: 7})
	require.True(t, e.m.Due())
	require.EqualValues(t, 7, e.writes().GetProbed())
	require.False(t, e.m.Due())

	e.hears(&ptypes.Packet{Probe: 1<<63 + 3})
	require.Less(t, e.writes().GetProbed(), uint64(probes))
}

// The answer to a question of an older stream is none.
func TestTrip_ForgetsTheQuestionsOfTheStreamBefore(t *testing.T) {
	e := newSurvey(t)
	e.m.Tick(e.now)
	question := e.writes()

	e.m.Ended(errCut, e.now)
	require.NoError(t, e.m.Opened(2, 0, e.after(time.Second).now))
	e.hears(&ptypes.Packet{Probed: question.GetProbe()})
	require.Zero(t, e.m.RoundTrip())
}
