package parcel

import (
	"fmt"
	"math"
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

// one is the size of a packet of one byte for one destination.
const one = packetOverhead + 2

// Promise M3: a box takes what its bounds and the budget allow, and an empty box anything that the
// budget does.
func TestBox_Add(t *testing.T) {
	for name, tc := range map[string]struct {
		held []*Parcel
		add  *Parcel
		err  error
	}{
		"anything into an empty one": {add: sized(5000, "a")},
		"but for the budget":         {add: sized(50_000, "a"), err: memory.ErrExhausted},
		"the last packet":            {held: four()[1:], add: sized(1, "d")},
		"one packet more":            {held: four(), add: sized(1, "f"), err: ErrFull},
		"more bytes":                 {held: []*Parcel{sized(one, "a")}, add: sized(one, "b")},
		"the last byte":              {held: []*Parcel{sized(one, "a")}, add: sized(4*one-2*packetOverhead-2, "b")},
		"one byte too much": {
			held: []*Parcel{sized(one, "a")}, add: sized(4*one-2*packetOverhead-1, "b"), err: ErrFull,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := Box{MaxPackets: 4, MaxBytes: 5 * one, Budget: memory.NewBudget(10_000)}
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

// fill adds packets of a source to a destination until there is no room.
func fill(t *testing.T, b *Box, source, dest string) (added int) {
	t.Helper()

	for {
		p := sized(1, dest)
		p.Source = source

		err := b.Add(p)
		if err != nil {
			require.ErrorIs(t, err, ErrFull)

			return added
		}

		added++
	}
}

// Promise M3: a destination alone gets nine tenths, greedy ones get the same each, and the next
// one finds a known part of the bounds. It is so in packets as in bytes.
func TestBox_GreedyDestinationsLeaveRoomForOthers(t *testing.T) {
	for name, b := range map[string]Box{
		"packets": {MaxPackets: 1000, MaxBytes: math.MaxInt},
		"bytes":   {MaxPackets: math.MaxInt, MaxBytes: 1000 * (one + 3)},
	} {
		for greedy := 1; greedy <= 8; greedy++ {
			t.Run(fmt.Sprintf("%s, %d greedy", name, greedy), func(t *testing.T) {
				b := b

				// They take turns, each packet from a source of its own.
				held := make([]int, greedy)
				for more := true; more; {
					more = false

					for i := range held {
						p := sized(1, string(rune('a'+i)))
						p.Source = fmt.Sprintf("%03d", held[i])

						if b.Add(p) == nil {
							held[i]++
							more = true
						}
					}
				}

				part := 9000 / (1 + 9*greedy)
				for _, got := range held {
					require.InDelta(t, part, got, 1)
				}

				room := 1000 - b.Len()
				require.GreaterOrEqual(t, room+1, 1000/(1+9*greedy))
				require.InDelta(t, room*9/10, fill(t, &b, "zzz", "z")*10/9, float64(1+room/9))
			})
		}
	}
}

// Promise M3: sources that send to the same destination share its part by the same rule. A source
// that sends all it can leaves room for the others.
func TestBox_GreedySourcesLeaveRoomForOthers(t *testing.T) {
	b := Box{MaxPackets: 10_000, MaxBytes: math.MaxInt}

	// Nine tenths of nine tenths.
	require.InDelta(t, 8100, fill(t, &b, "A", "a"), 10)

	for _, source := range []string{"B", "C", "D"} {
		require.Positive(t, fill(t, &b, source, "a"))
	}

	require.LessOrEqual(t, b.Len(), 9000, "the destination alone gets nine tenths")
}

// Promise M3: a packet counts in full for each of its destinations, and once in all.
func TestBox_PacketForManyCountsForEach(t *testing.T) {
	b := Box{MaxPackets: 100, MaxBytes: math.MaxInt}

	var err error
	for err == nil {
		err = b.Add(sized(1, "a", "b", "c"))
	}

	require.ErrorIs(t, err, ErrFull)

	for _, key := range []string{"a", "b", "c"} {
		packets, bytes := b.Usage(key)
		require.Equal(t, b.Len(), packets)
		require.Equal(t, b.Bytes(), bytes)
		require.ErrorIs(t, b.Add(sized(1, key)), ErrFull)
	}

	require.NoError(t, b.Add(sized(1, "d")))
}

// Promise M1: one measure counts the message, the texts, and what holds them.
func TestSize_CountsEverything(t *testing.T) {
	require.Equal(t, packetOverhead, Size(nil, "", nil))
	require.Equal(t, packetOverhead+5+3+2, Size(make([]byte, 5), "src", []string{"de"}))
	require.Equal(t, packetOverhead+2*destinationOverhead+6, Size(nil, "", []string{"aa", "bb", "cc"}))
}

// Promise O1: what the neighbour has answered is not among what is drained.
func TestBox_DrainLeavesOutWhatIsAnswered(t *testing.T) {
	b := Box{MaxPackets: 100, MaxBytes: 10_000}
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
	b := Box{MaxPackets: 100, MaxBytes: 10_000}
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

// Promise M3: what few packets have counts, too.
func TestParcel_CountsWhatIsRare(t *testing.T) {
	p, traced := sized(10, "a"), sized(10, "a")
	traced.Rare = NewRare(&ptypes.News{Player: []byte("player"), Text: "why"}, make([]byte, 100))

	require.Equal(t, p.Size()+109, traced.Size())
	require.Equal(t, p.Length()+109, traced.Length())
	require.Nil(t, NewRare(nil, nil))
}

// A box that rests goes on as before. One that holds something keeps it.
func TestBox_Rest(t *testing.T) {
	b := Box{MaxPackets: 2, MaxBytes: 10_000}
	b.Rest()

	p := sized(1, "a")
	require.NoError(t, b.Add(p))
	b.Rest()
	require.True(t, b.Remove(p))

	b.Rest()
	require.Nil(t, b.held)
	require.False(t, b.Remove(p))

	next := sized(1, "a")
	require.NoError(t, b.Add(next))
	require.Greater(t, next.ID, p.ID, "a number is never used again")
}

// Promise L2: while the time of a box stands still, no deadline in it comes nearer, and what comes later has
// no more time than it asks for. Whoever takes a parcel out of it gets the time back.
func TestBox_DeadlinesStandStill(t *testing.T) {
	now := time.Now()
	b := Box{MaxPackets: 10, MaxBytes: 1 << 20}
	held := func(left time.Duration) *Parcel {
		p := sized(1, "a")
		p.Deadline = now.Add(left)
		require.NoError(t, b.Add(p))

		return p
	}

	first := held(time.Second)

	b.Stand(time.Minute)

	now = now.Add(time.Minute)
	second := held(time.Second)

	require.Equal(t, first.Deadline.Add(time.Minute), b.Earliest())
	require.Empty(t, b.Expire(now.Add(time.Second-1)))
	require.Equal(t, []*Parcel{first, second}, b.Expire(now.Add(time.Second)))

	third, fourth := held(time.Second), held(time.Second)
	b.Stand(time.Hour)

	taken := b.Withdraw([]*Parcel{third}, true)
	require.Len(t, taken, 1)
	require.Equal(t, now.Add(time.Hour+time.Second), taken[0].Deadline)
	require.Equal(t, now.Add(time.Second), third.Deadline, "somebody may be reading it")

	drained := b.Drain()
	require.Len(t, drained, 1)
	require.Equal(t, now.Add(time.Hour+time.Second), drained[0].Deadline)
	require.Equal(t, now.Add(time.Second), fourth.Deadline)
}
