package frames

import (
	"errors"
	"testing"
	"time"

	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
)

const (
	silence  = 9 * time.Second
	patience = 2 * time.Second
	third    = silence / 3
	often    = maxFruitless
)

// machineOf returns the machine of one end, with a small window.
func machineOf(dialler bool) *Machine {
	m := New(Config{
		Box: &parcel.Box{MaxPackets: 100, MaxBytes: 1 << 20}, Dialler: dialler, MaxFrame: tinyFrame, MaxBody: 1 << 20,
		Silence: silence, Patience: patience,
	}, still)
	m.bounds = bounds{unsettled: 2, unread: 2, unreadBytes: 1 << 20}

	return m
}

// send adds small parcels, and writes what may leave. It returns the frames.
func (m *Machine) send(n int) (frames []*ptypes.Packet) {
	for range n {
		p := &parcel.Parcel{Header: parcel.Header{Deadline: still.Add(time.Hour)}, Packet: small, Keys: []string{"x"}}
		must(m.Box.Add(p))
		m.Push(p)
	}

	return m.written()
}

// written writes what may leave.
func (m *Machine) written() (frames []*ptypes.Packet) {
	n := node{m: m}

	for frame, _ := n.next(); frame != nil; frame, _ = n.next() {
		frames = append(frames, copyFrame(frame))
	}

	return frames
}

// Promise L5: a stream goes on where the last one ended, if both ends agree on where that
// is, and it is the newest.
func TestMachine_Opened(t *testing.T) {
	for name, tc := range map[string]struct {
		dialler, parted bool
		epoch, received uint64
		err             error
		resent          int
	}{
		"nothing has arrived":          {epoch: 2, received: 0, resent: 2},
		"some has arrived":             {epoch: 2, received: 1, resent: 1},
		"all has arrived":              {epoch: 2, received: 2, resent: 0},
		"epochs may be left out":       {epoch: 7, received: 2, resent: 0},
		"more than was sent":           {epoch: 2, received: 3, err: ErrProtocol},
		"the same stream":              {epoch: 1, received: 2, err: ErrOld},
		"an old stream":                {epoch: 0, received: 2, err: ErrOld},
		"the dialler's own attempt":    {dialler: true, epoch: 2, received: 1, resent: 1},
		"an attempt it has given up":   {dialler: true, epoch: 1, received: 1, err: ErrOld},
		"after the goodbye":            {parted: true, epoch: 2, received: 2, err: ErrOver},
		"the dialler after a goodbye":  {dialler: true, parted: true, epoch: 2, received: 2, err: ErrOver},
		"a dialler that is misled":     {dialler: true, epoch: 2, received: 9, err: ErrProtocol},
		"a dialler with all confirmed": {dialler: true, epoch: 2, received: 2, resent: 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := machineOf(tc.dialler)
			require.Len(t, m.send(2), 2)

			if tc.parted {
				require.True(t, m.Part(&ptypes.Packet{Goodbye: true}))
			}

			m.Ended(errCut, still)

			if tc.dialler {
				m.NextEpoch()
			}

			err := m.Opened(tc.epoch, tc.received, still)
			require.ErrorIs(t, err, tc.err)
			require.Equal(t, tc.err == nil, m.Connected())

			if tc.err == nil {
				require.Len(t, m.written(), tc.resent)
			}
		})
	}
}

// Promises L3, L5: how a link goes on when a stream has ended depends on which end it is, on
// why it has ended, and on whether the streams are of any use.
func TestMachine_Ended(t *testing.T) {
	for name, tc := range map[string]struct {
		dialler, parted, useful bool
		cause                   error
		times                   int
		lasted                  time.Duration
		want                    Verdict
	}{
		"the dialler tries again":      {dialler: true, cause: errCut, times: 1, want: Redial},
		"the other end waits":          {cause: errCut, times: 1, want: Wait},
		"an error of the protocol":     {dialler: true, cause: ErrProtocol, times: 1, want: Over},
		"the same at the other end":    {cause: ErrProtocol, times: 1, want: Over},
		"after the goodbye":            {dialler: true, parted: true, cause: errCut, times: 1, want: Over},
		"nearly too often fruitless":   {dialler: true, cause: errCut, times: often - 1, want: Redial},
		"too often fruitless":          {dialler: true, cause: errCut, times: often, want: Over},
		"the other end does not count": {cause: errCut, times: often, want: Wait},
		"they last":                    {dialler: true, cause: errCut, times: often, lasted: patience, want: Redial},
		"they do not last enough":      {dialler: true, cause: errCut, times: often, lasted: patience - 1, want: Over},
		"they get something over":      {dialler: true, useful: true, cause: errCut, times: often, want: Redial},
	} {
		t.Run(name, func(t *testing.T) {
			m := machineOf(tc.dialler)
			m.send(1)

			if tc.parted {
				m.Part(&ptypes.Packet{Goodbye: true})
			}

			now, verdict := still, Over

			for i := range tc.times {
				now = now.Add(tc.lasted)

				if tc.useful {
					_, err := m.Admit(&ptypes.Packet{Received: m.last, Frame: uint64(i + 1)}, now)
					require.NoError(t, err)
					m.Settle(&ptypes.Packet{Delivered: []uint64{m.last}})
					m.send(1)
				}

				verdict = m.Ended(tc.cause, now)

				if i < tc.times-1 {
					epoch, _ := m.NextEpoch()
					if !tc.dialler {
						m.epoch = epoch - 1
					}

					require.NoError(t, m.Opened(epoch, m.acknowledged(), now))
				}
			}

			require.Equal(t, tc.want, verdict)
			require.False(t, m.Connected())
		})
	}
}

// Promise S3: a frame counts if it is the next, and says nothing that cannot be.
func TestMachine_Admit(t *testing.T) {
	for name, tc := range map[string]struct {
		frame   *ptypes.Packet
		content bool
		err     error
	}{
		"a heartbeat":              {frame: &ptypes.Packet{}},
		"a heartbeat that says so": {frame: &ptypes.Packet{Received: 2}},
		"the first":                {frame: &ptypes.Packet{Frame: 1}, content: true},
		"the second":               {frame: &ptypes.Packet{Frame: 2}, err: ErrProtocol},
		"more than was sent":       {frame: &ptypes.Packet{Frame: 1, Received: 3}, err: ErrProtocol},
		"too many without outcome": {
			frame: &ptypes.Packet{Frame: 1, Parcels: make([]*ptypes.Parcel, 5)}, err: ErrProtocol,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := machineOf(true)
			m.send(2)

			content, err := m.Admit(tc.frame, still)
			require.ErrorIs(t, err, tc.err)
			require.Equal(t, tc.content, content)
		})
	}
}

// What an end has received never becomes less.
func TestMachine_ConfirmedFramesStayConfirmed(t *testing.T) {
	m := machineOf(true)
	m.send(2)

	_, err := m.Admit(&ptypes.Packet{Received: 2}, still)
	require.NoError(t, err)

	_, err = m.Admit(&ptypes.Packet{Received: 1}, still)
	require.ErrorIs(t, err, ErrProtocol)
}

// Promise M3: what is written and not confirmed, or not answered, is bounded.
func TestMachine_Windows(t *testing.T) {
	m := machineOf(true)
	require.Len(t, m.send(5), 2, "two are not settled")

	_, err := m.Admit(&ptypes.Packet{Frame: 1, Received: 1, Delivered: []uint64{1}}, still)
	require.NoError(t, err)
	require.Len(t, m.Settle(&ptypes.Packet{Delivered: []uint64{1, 1, 9}}), 1)
	// The neighbour may have answered what nobody waits for any more.
	require.Len(t, m.written(), 1)
	require.False(t, m.Due(), "two frames are not confirmed")

	_, err = m.Admit(&ptypes.Packet{Frame: 2, Received: 3}, still)
	require.NoError(t, err)
	require.Len(t, m.written(), 1)
}

// Promise L6: the goodbye is the last frame, and what is owed goes before it.
func TestMachine_Farewell(t *testing.T) {
	m := machineOf(true)
	_, err := m.Admit(&ptypes.Packet{Frame: 1, Parcels: []*ptypes.Parcel{{Id: 1}}}, still)
	require.NoError(t, err)
	require.NoError(t, m.Delivered(1))
	m.Farewell()

	frames := m.written()
	require.Len(t, frames, 2)
	require.Equal(t, []uint64{1}, frames[0].GetDelivered())
	require.True(t, frames[1].GetGoodbye())

	m.send(1)
	m.Tick(still)
	require.False(t, m.Writable())
}

// Promise L6: a flush is not over while the window holds back what is owed.
func TestMachine_IsBusyWhileTheWindowIsFull(t *testing.T) {
	m := machineOf(true)
	m.send(2)

	_, err := m.Admit(&ptypes.Packet{Frame: 1, Parcels: []*ptypes.Parcel{{Id: 1}}}, still)
	require.NoError(t, err)
	require.NoError(t, m.Delivered(1))
	require.False(t, m.Due())
	require.True(t, m.Busy())
}

// Promise L3: the parcels of a frame that a stream has not taken leave with the next one.
func TestMachine_Stalled(t *testing.T) {
	m := machineOf(true)
	m.send(0)

	p := &parcel.Parcel{Header: parcel.Header{Deadline: still.Add(time.Hour)}, Packet: small, Keys: []string{"x"}}
	must(m.Box.Add(p))
	m.Push(p)

	n := node{m: m}
	frame, parcels := n.next()
	require.Len(t, parcels, 1)

	m.Stalled(1, frame.GetFrame(), parcels)
	require.False(t, m.Writable())
	require.True(t, m.Failed())

	m.Ended(errors.New("over"), still)

	epoch, _ := m.NextEpoch()
	require.NoError(t, m.Opened(epoch, 0, still))

	again, parcels := n.next()
	require.Equal(t, frame.GetFrame(), again.GetFrame())
	require.Equal(t, []*parcel.Parcel{p}, parcels)

	// What an old stream has not taken says nothing about the new one.
	m.Stalled(1, frame.GetFrame(), nil)
	require.True(t, m.Connected())
}

// Promise L1: silence and a stream that takes nothing are noticed in time, and a process
// that was stopped gives its neighbour more.
func TestMachine_Tick(t *testing.T) {
	for name, tc := range map[string]struct {
		heard, at time.Duration
		stalled   bool
		want      Beat
	}{
		"in time":        {at: silence / 3, want: Beat{Quiet: true, Next: third}},
		"shortly before": {at: silence/3 + time.Second, want: Beat{Quiet: true, Next: lookStep}},
		"nearly silent":  {heard: -silence / 3 * 2, at: time.Second, want: Beat{Quiet: true, Next: lookStep}},
		"silent":         {heard: -silence, at: silence / 3, want: Beat{Silent: true, Quiet: true, Next: third}},
		"stopped":        {at: silence * 5, want: Beat{Quiet: true, Next: lookStep}},
		"stuck":          {stalled: true, at: silence / 3, want: Beat{Stuck: true, Quiet: true, Next: third}},
	} {
		t.Run(name, func(t *testing.T) {
			m := machineOf(true)
			m.heard = still.Add(tc.heard)

			if tc.stalled {
				m.Stalled(1, 0, nil)
				m.stuck = true
			}

			require.Equal(t, tc.want, m.Tick(still.Add(tc.at)))
			require.True(t, m.Due())
		})
	}
}
