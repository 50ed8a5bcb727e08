package frames

import (
	"strings"
	"testing"
	"time"

	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// Promise S3: no frame is larger than what was agreed on, whatever is large in it: the source,
// the destinations, what the format makes of the message, or what is said about the parcels of
// the other end. What has been cut is put together again.
func TestCompose_KeepsMaxFrame(t *testing.T) {
	const frame = 4 << 10

	long := strings.Repeat("d", 3*frame)
	encoded := func(header, body int) *ptypes.Parcel {
		return &ptypes.Parcel{Header: []byte(strings.Repeat("h", header)), Body: []byte(strings.Repeat("b", body))}
	}

	for name, tc := range map[string]struct {
		parcel *parcel.Parcel
		wire   *ptypes.Parcel
	}{
		"a long source": {&parcel.Parcel{Header: parcel.Header{Source: long}}, encoded(3*frame, 10)},
		"a trace": {
			&parcel.Parcel{Header: parcel.Header{Rare: parcel.NewRare(nil, []byte(long[:512]))}},
			&ptypes.Parcel{Header: []byte("h"), Body: []byte("b"), Trace: []byte(long[:512])},
		},
		"long destinations":         {&parcel.Parcel{Keys: []string{long}}, encoded(3*frame, 10)},
		"a header and a message":    {&parcel.Parcel{Keys: []string{long}}, encoded(3*frame, 3*frame)},
		"a header alone":            {&parcel.Parcel{Keys: []string{long}}, encoded(3*frame, 0)},
		"an estimate that is wrong": {&parcel.Parcel{}, encoded(2*frame, 2*frame)},
		"just too large":            {&parcel.Parcel{}, encoded(0, frame)},
		"just small enough":         {&parcel.Parcel{}, encoded(10, frame-headSize-40)},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := paced(), paced()
			from.MaxFrame, to.MaxFrame = frame, frame

			// A large message is on its way meanwhile.
			from.put(10*frame, "other")
			addAll(from, tc.parcel)

			for i := range 20 {
				cause := strings.Repeat("?", 1000*(i%8))
				must(from.Reply(&ptypes.Receipt{ParcelId: uint64(i + 1), Failures: []*ptypes.Failure{
					{Destination: []byte(strings.Repeat("x", 500*i)), Cause: cause},
					{Destination: []byte("y"), Cause: cause},
				}}))
			}

			arrived, failures := exchange(t, from, to, tc.parcel, tc.wire, frame)
			require.Len(t, arrived, 2)
			require.Equal(t, 40, failures)

			for _, a := range arrived {
				if a.GetId() == tc.parcel.ID {
					require.Len(t, a.GetHeader(), len(tc.wire.GetHeader()))
					require.Equal(t, string(tc.wire.GetBody()), string(a.GetBody()))
				} else {
					require.Len(t, a.GetBody(), 10*frame)
				}
			}
		})
	}
}

func addAll(m *Machine, p *parcel.Parcel) {
	p.Deadline = still.Add(time.Hour)
	p.Packet = message{data: []byte("x")}
	must(m.Box.Add(p))
	m.Push(p)
}

// exchange lets one end read all that the other has to say. It returns what has arrived.
func exchange(t *testing.T, from, to *Machine, special *parcel.Parcel, wire *ptypes.Parcel, limit int,
) (arrived []Arrival, failures int) {
	t.Helper()

	for range 1000 {
		f := compose(from, special, wire)
		if f == nil {
			return arrived, failures
		}

		require.LessOrEqual(t, proto.Size(f), limit)

		for _, r := range f.GetReceipts() {
			failures += len(r.GetFailures())
		}

		content, err := to.Admit(f, still)
		require.NoError(t, err)

		if content {
			list, err := to.Assemble(copyFrame(f))
			require.NoError(t, err)

			arrived = append(arrived, list...)
		}

		to.Told(nil, nil)

		_, err = from.Admit(&ptypes.Packet{Received: to.Received()}, still)
		require.NoError(t, err)
	}

	require.Fail(t, "there is no end of the frames")

	return nil, 0
}

// compose returns the next frame, in which one parcel is encoded in its own way.
func compose(m *Machine, special *parcel.Parcel, wire *ptypes.Parcel) *ptypes.Packet {
	encode := func(p *parcel.Parcel) *ptypes.Parcel {
		if p != special {
			return wireOf(p)
		}

		wire.Id = p.ID

		return copyWire(wire)
	}

	for {
		frame, _ := m.Next(still)
		if frame != nil {
			return frame
		}

		draft, ok := m.Draft()
		if !ok {
			return nil
		}

		for _, p := range draft.Parcels {
			draft.Frame.Parcels = append(draft.Frame.Parcels, encode(p))
		}

		if p := m.Compose(draft); p != nil {
			m.Begin(p, encode(p))
		}
	}
}

// Promise L1: who is heard but says that it reads nothing is found out within one bound, from
// the moment on at which it has read something the last time.
func TestMachine_DeafNeighbour(t *testing.T) {
	m := paced()

	for i := range 4 {
		now := still.Add(time.Duration(i) * third)

		_, err := m.Admit(&ptypes.Packet{Read: 7, QuietMs: uint64(i) * 3000}, now)
		require.NoError(t, err)
		require.Equal(t, i == beats, m.Tick(now).Silent, "after %d heartbeats", i)
	}
}

// Promise L1: who reads what others send over the same connection is not deaf, and any bytes on
// the connection are a sign of life; but the frames of the stream itself must get through within
// three bounds.
func TestMachine_ConnectionIsAlive(t *testing.T) {
	m := paced()

	for i := range patientBounds*beats + 1 {
		now := still.Add(time.Duration(i) * third)
		m.Connection(uint64(i), now)
		m.hearing = now
		require.Equal(t, i == patientBounds*beats, m.Tick(now).Silent, "after %d heartbeats", i)
	}
}

// Promise L1: a stream of which nothing is acknowledged for three bounds ends.
func TestMachine_NothingIsAcknowledged(t *testing.T) {
	m := paced()
	require.Len(t, m.send(1), 1)

	for i := range patientBounds*beats + 1 {
		now := still.Add(time.Duration(i) * third)

		_, err := m.Admit(&ptypes.Packet{Read: uint64(i + 1)}, now)
		require.NoError(t, err)
		require.Equal(t, i == patientBounds*beats, m.Tick(now).Silent, "after %d heartbeats", i)
	}
}

// Promise O3: replies may be many at once. Who takes none of them for a while is given up, and
// so is who has no memory for them.
func TestReply_IsBoundedByWhatCouldBeRead(t *testing.T) {
	many := func() *ptypes.Receipt {
		return &ptypes.Receipt{ParcelId: 1, Failures: make([]*ptypes.Failure, maxReplies), Last: true}
	}

	m := paced()
	require.NoError(t, m.Reply(many()))
	require.NoError(t, m.Reply(many()))
	require.False(t, m.Tick(still).Ignored)

	m.send(1)
	m.owed = 2 * maxReplies
	require.False(t, m.Tick(still).Ignored, "the frame may have been written just now")
	require.True(t, m.Tick(still).Ignored)
	require.ErrorIs(t, m.Reply(many()), ErrReplies)
}
