package parcel

import (
	"testing"
	"time"

	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
)

// message is a packet of which only the message matters.
type message struct {
	router.Packet

	data []byte
}

func (m message) GetMessage() []byte { return m.data }

func sized(size int, keys ...string) *Parcel {
	return &Parcel{Packet: message{data: make([]byte, size)}, Keys: keys}
}

func four() []*Parcel {
	return []*Parcel{sized(1, "a", "b"), sized(1, "c"), sized(1, "e"), sized(1, "g")}
}

// Promise M3: a box takes what its bounds, the share of a destination and the budget allow.
// An empty box, and an empty share, take anything that the budget does.
func TestBox_Add(t *testing.T) {
	for name, tc := range map[string]struct {
		held []*Parcel
		add  *Parcel
		err  error
	}{
		"anything into an empty one":  {add: sized(500, "a")},
		"but for the budget":          {add: sized(5000, "a"), err: memory.ErrExhausted},
		"the last packet":             {held: four()[1:], add: sized(1, "d")},
		"one packet more":             {held: four(), add: sized(1, "f"), err: ErrFull},
		"more bytes":                  {held: []*Parcel{sized(300, "a")}, add: sized(99, "b")},
		"one byte too much":           {held: []*Parcel{sized(300, "a")}, add: sized(100, "b"), err: ErrFull},
		"a destination with a share":  {held: []*Parcel{sized(10, "a")}, add: sized(10, "a"), err: ErrFull},
		"one of several that has one": {held: []*Parcel{sized(10, "a")}, add: sized(10, "b", "a"), err: ErrFull},
	} {
		t.Run(name, func(t *testing.T) {
			b := Box{MaxPackets: 4, MaxBytes: 401, Budget: memory.NewBudget(1000)}
			for _, p := range tc.held {
				require.NoError(t, b.Add(p))
			}

			before := b.Budget.Used()
			require.ErrorIs(t, b.Add(tc.add), tc.err)
			require.Equal(t, b.Bytes(), b.Budget.Used())

			if tc.err != nil {
				require.Equal(t, before, b.Budget.Used())
			}

			b.Drain()
			require.Zero(t, b.Budget.Used())
		})
	}
}

// Promise O1: what the neighbour has answered is not among what is drained.
func TestBox_DrainLeavesOutWhatIsAnswered(t *testing.T) {
	b := Box{MaxPackets: 100, MaxBytes: 1000}
	some, all := sized(1, "a", "b"), sized(1, "c", "d")

	for _, p := range []*Parcel{some, all} {
		p.Dests = make([]mino.Address, 2)
		require.NoError(t, b.Add(p))
	}

	some.Note(&ptypes.Receipt{Reached: []uint32{0, 7}})
	all.Note(&ptypes.Receipt{Reached: []uint32{0}, Failures: []*ptypes.Failure{{Destination: []byte("d")}}})

	left := b.Drain()
	require.Len(t, left, 1)
	require.Equal(t, []string{"b"}, left[0].Keys)
}

// Expired parcels leave in the order in which they came, and no others.
func TestBox_Expire(t *testing.T) {
	b := Box{MaxPackets: 100, MaxBytes: 1000}
	now := time.Unix(1000, 0)

	for i, key := range []string{"a", "b", "c", "d"} {
		p := sized(1, key)
		p.Deadline = now.Add(time.Duration(i%2) * time.Second)
		require.NoError(t, b.Add(p))
	}

	require.Equal(t, now, b.Earliest())

	expired := b.Expire(now)
	require.Len(t, expired, 2)
	require.Equal(t, []string{"a"}, expired[0].Keys)
	require.Equal(t, []string{"c"}, expired[1].Keys)
	require.Equal(t, now.Add(time.Second), b.Earliest())
	require.Equal(t, 2, b.Len())
}
