package frames

import (
	"testing"
	"time"

	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

const maxFrame = 256 << 10

// paced returns a machine with the bounds of a real one.
func paced() *Machine {
	return New(Config{
		Box: &parcel.Box{MaxPackets: 1 << 20, MaxBytes: 1 << 30}, Dialler: true, MaxFrame: maxFrame, MaxBody: 1 << 30,
		Silence: silence, Patience: patience, Paced: true,
	}, still)
}

// put adds a parcel of that size for a destination.
func (m *Machine) put(size int, dest string) {
	p := &parcel.Parcel{
		Header: parcel.Header{Deadline: still.Add(time.Hour)},
		Packet: message{data: make([]byte, size)}, Keys: []string{dest},
	}
	must(m.Box.Add(p))
	m.Push(p)
}

// way carries the frames of a machine to another, so many bytes per second, and back at once,
// both after a delay.
type way struct {
	from, to *Machine
	rate     float64
	delay    time.Duration

	now time.Time
	// flying are the frames on their way, and free is when the way is.
	flying []flight
	free   time.Time
	// worst is the longest time that a frame has waited, and largest the largest frame.
	worst   time.Duration
	largest int
	carried int
}

type flight struct {
	frame     *ptypes.Packet
	sent, due time.Time
}

// run lets time pass until nothing is on its way.
func (w *way) run() {
	for {
		for f, _ := w.next(w.from); f != nil; f, _ = w.next(w.from) {
			w.send(f)
		}

		if len(w.flying) == 0 {
			return
		}

		f := w.flying[0]
		w.flying = w.flying[1:]
		w.now = later(w.now, f.due)
		w.worst = max(w.worst, w.now.Sub(f.sent))

		w.take(w.to, f.frame)

		for f, _ := w.next(w.to); f != nil; f, _ = w.next(w.to) {
			w.take(w.from, f)
		}
	}
}

func (w *way) next(m *Machine) (*ptypes.Packet, []*parcel.Parcel) {
	n := node{m: m}

	return n.nextAt(w.now)
}

func (w *way) send(f *ptypes.Packet) {
	size := proto.Size(f)
	w.carried += size
	w.largest = max(w.largest, size)
	w.free = later(w.free, w.now).Add(time.Duration(float64(size) / w.rate * float64(time.Second)))
	// The delay of the way back is added here, so that the answer need not wait.
	w.flying = append(w.flying, flight{copyFrame(f), w.now, w.free.Add(w.delay)})
}

func (w *way) take(m *Machine, f *ptypes.Packet) {
	content, err := m.Admit(copyFrame(f), w.now)
	must(err)

	if content {
		arrivals, err := m.Assemble(f)
		must(err)

		for _, a := range arrivals {
			must(m.Delivered(a.GetId()))
		}

		m.Settle(f)
	}

	m.Told(nil, nil)
}

// Promise L1: what is on a slow way is little, however much is sent, so that a small message
// does not wait for more than a second; and the way is used well.
func TestPace_FollowsTheWay(t *testing.T) {
	for name, tc := range map[string]struct {
		rate  float64
		delay time.Duration
		size  int
	}{
		"20 KB/s":             {rate: 20e3, size: 600 << 10},
		"60 KB/s":             {rate: 60e3, size: 2 << 20},
		"400 KB/s":            {rate: 400e3, size: 8 << 20},
		"1 MB/s":              {rate: 1e6, size: 16 << 20},
		"100 KB/s, 400 ms":    {rate: 100e3, delay: 400 * time.Millisecond, size: 8 << 20},
		"100 MB/s, 100 ms":    {rate: 100e6, delay: 100 * time.Millisecond, size: 96 << 20},
		"10 MB/s, 900 ms":     {rate: 10e6, delay: 900 * time.Millisecond, size: 96 << 20},
		"1 GB/s in a machine": {rate: 1e9, delay: 50 * time.Microsecond, size: 96 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			w := &way{from: paced(), to: paced(), rate: tc.rate, delay: tc.delay, now: still}

			for range tc.size / (512 << 10) {
				w.from.put(512<<10, "x")
			}

			w.run()

			took := w.now.Sub(still)
			require.Zero(t, w.from.unread.Len())
			require.Less(t, w.worst, tc.delay+max(800*time.Millisecond, tc.delay/2+400*time.Millisecond))
			require.Less(t, took.Seconds(), 1.3*float64(tc.size)/tc.rate+15*tc.delay.Seconds()+0.1)
			require.LessOrEqual(t, float64(w.largest), max(tc.rate/4, 4<<10))

			if tc.rate >= 10e6 {
				require.InDelta(t, maxFrame, w.largest, 1000)
			}
		})
	}
}
