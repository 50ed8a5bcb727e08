package calls

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// An answer that says that a node behind the neighbour did not answer is not one.
func TestLate_TellsAnAnswerFromTheEndOfPatience(t *testing.T) {
	timeout := &ptypes.Ack{Failures: []*ptypes.Failure{{Reason: ptypes.Reason_REASON_TIMEOUT}}}
	refused := &ptypes.Ack{Failures: []*ptypes.Failure{{Reason: ptypes.Reason_REASON_REJECTED}}}

	require.True(t, Late(timeout, nil))
	require.True(t, Late(nil, context.DeadlineExceeded))
	require.True(t, Late(nil, status.Error(codes.DeadlineExceeded, "late")))
	require.False(t, Late(refused, nil))
	require.False(t, Late(&ptypes.Ack{}, nil))
	require.False(t, Late(nil, status.Error(codes.ResourceExhausted, "full")))
}

// overdue returns an outbox with two parcels of a size for a and b under way that are
// not answered, and n that wait behind them.
func overdue(t *testing.T, maxPackets, size, n int) *outbox {
	t.Helper()

	box := newOutbox(parcel.Box{MaxPackets: maxPackets, MaxBytes: 100_000}, 2)

	for range 2 + n {
		require.NoError(t, box.add(newParcel(size, "a", "b")))
	}

	require.NotNil(t, box.take())
	require.NotNil(t, box.take())
	require.Nil(t, box.take())
	box.findOverdue(time.Now().Add(Patience))

	return box
}

// What is sent to all of them leaves for each in the order in which it was added, and
// is drained in that order.
func TestOutbox_SplitKeepsTheOrder(t *testing.T) {
	box := overdue(t, 100, 1, 20)
	last := make(map[string]uint64)

	for range 20 {
		p := box.take()
		require.Len(t, p.Keys, 1)
		require.Greater(t, p.Rank, last[p.Keys[0]])
		last[p.Keys[0]] = p.Rank
		require.True(t, box.remove(p))
	}

	require.NoError(t, box.add(newParcel(1, "c")))

	drained := box.drain()
	require.Equal(t, []string{"c"}, drained[len(drained)-1].Keys)
	require.True(t, slices.IsSortedFunc(drained, func(x, y *parcel.Parcel) int { return cmp.Compare(x.Rank, y.Rank) }))
}

// A part goes before what was added later for its destination alone.
func TestOutbox_PartGoesBeforeWhatWasAddedLater(t *testing.T) {
	box := overdue(t, 100, 1, 1)
	require.NoError(t, box.add(newParcel(1, "a")))

	require.EqualValues(t, 3, box.take().Rank)
}

// A lane in which a call has ended is not overdue: what it takes next goes in one piece,
// and what waits then has a second to wait.
func TestOutbox_LaneThatMovesIsNotSplit(t *testing.T) {
	box := overdue(t, 100, 1, 2)
	ended := box.sent()

	require.True(t, box.remove(ended))
	box.Moved(ended)
	require.Equal(t, []string{"a", "b"}, box.take().Keys)
	require.Nil(t, box.take())
}

// Promise M3: calls that end because their time is over, one now and one then, are no
// sign of life.
func TestOutbox_LaneWhoseCallsTimeOutGoesOnBeingSplit(t *testing.T) {
	box := overdue(t, 100, 1, 2)

	require.True(t, box.remove(box.sent()))
	require.Equal(t, []string{"a", "b"}, box.take().Keys)
	require.Equal(t, []string{"a"}, box.take().Keys)
}

// Promise M3: a split stays within the bounds, and goes on when there is room again.
func TestOutbox_SplitsOnlyWhatThereIsRoomFor(t *testing.T) {
	for name, test := range map[string]struct{ maxPackets, size, others, othersSize int }{
		"packets": {maxPackets: 12, size: 1, others: 9, othersSize: 1},
		"bytes":   {maxPackets: 100, size: 9000, others: 3, othersSize: 23_500},
	} {
		t.Run(name, func(t *testing.T) {
			box := overdue(t, test.maxPackets, test.size, 1)

			for i := range test.others {
				require.NoError(t, box.add(newParcel(test.othersSize, string(rune('m'+i)))))
			}

			var other *parcel.Parcel
			for range test.others {
				other = box.take()
				require.Len(t, other.Keys, 1)
			}

			require.Nil(t, box.take(), "there is no room for a part")
			require.True(t, box.remove(other))

			require.Nil(t, box.take(), "the lane is looked at again later")
			box.findOverdue(time.Now().Add(2 * Patience))
			require.Equal(t, []string{"a"}, box.take().Keys)
			require.Equal(t, []string{"b"}, box.take().Keys)
			require.LessOrEqual(t, box.Len(), box.MaxPackets)
			require.LessOrEqual(t, box.Bytes(), box.MaxBytes)
		})
	}
}

// A packet that a lost connection may still be reading is never changed, and holds up
// none that can be split.
func TestOutbox_PacketThatWasUnderWayIsNotSplit(t *testing.T) {
	box := overdue(t, 100, 1, 0)
	sent := box.drain()

	for _, p := range sent {
		require.NoError(t, box.add(&parcel.Parcel{Header: p.Header, Packet: p.Packet, Keys: p.Keys, Dests: p.Dests}))
		require.NoError(t, box.add(&parcel.Parcel{Header: p.Header, Packet: p.Packet, Keys: p.Keys, Dests: p.Dests}))
		require.NoError(t, box.add(newParcel(1, "a", "b")))
		require.NoError(t, box.add(newParcel(1, "a", "b")))
	}

	for range 4 {
		require.Equal(t, []string{"a", "b"}, box.take().Keys)
	}

	require.Nil(t, box.take())
	box.findOverdue(time.Now().Add(Patience))

	for range 4 {
		p := box.take()
		require.Len(t, p.Keys, 1)
		require.NotSame(t, sent[0].Packet, p.Packet)
	}

	require.Len(t, sent[0].Packet.GetDestination(), 2)
}
