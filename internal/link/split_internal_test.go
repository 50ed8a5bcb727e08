package link

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Promise M3: those who answer do not wait for one who does not, longer than about a
// second, however much is sent to them together.
func TestLink_StuckBroadcastsAreSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		l := b.open()

		for i := range byte(12) {
			broadcast(t, l, 'a'+i, "x", "frozen", "y")
		}

		synctest.Wait()

		_, all := b.calls("")
		require.Equal(t, 8, all)

		time.Sleep(patience)
		synctest.Wait()

		for _, id := range []string{"ix", "iy", "jx", "jy", "kx", "ky", "lx", "ly"} {
			settled, err := b.outcome(id)
			require.True(t, settled, id)
			require.NoError(t, err)
		}

		// Promise O1: the others time out.
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Len(t, b.settled, 12*3)

		for _, id := range []string{"ax", "afrozen", "hy", "ifrozen", "lfrozen"} {
			_, err := b.outcome(id)
			require.Error(t, err, id)
		}

		finish(t, l, b)
	})
}

// Promise M3: what is added to a lane that is known to be stuck does not wait.
func TestLink_WhatFollowsInAStuckLaneIsSplitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		l := b.open()

		for i := range byte(8) {
			broadcast(t, l, 'a'+i, "x", "frozen")
		}

		for i := range byte(5) {
			time.Sleep(patience)
			broadcast(t, l, 'i'+i, "x", "frozen")
			synctest.Wait()

			settled, err := b.outcome(string('i'+i) + "x")
			require.True(t, settled)
			require.NoError(t, err)
		}

		finish(t, l, b)
	})
}

// A burst to nodes that are slow is no reason to send more than once.
func TestLink_SlowLaneIsNotSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{delay: patience - time.Millisecond}
		l := b.open()

		for range 100 {
			broadcast(t, l, 'a', "x", "y")
		}

		time.Sleep(20 * time.Second)

		of, all := b.calls("x+y")
		require.Equal(t, 100, of)
		require.Equal(t, 100, all)

		l.Fail(errors.New("over"))
	})
}

// A set that was stuck is sent to in one piece again when its calls have ended.
func TestLink_SetIsWholeAgainWhenNothingIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		l := b.open()

		for range 9 {
			broadcast(t, l, 'a', "x", "frozen")
		}

		time.Sleep(31 * time.Second)
		broadcast(t, l, 'b', "x", "frozen")
		synctest.Wait()

		of, _ := b.calls("x+frozen")
		require.Equal(t, 9, of)

		l.Fail(errors.New("over"))
	})
}

// Promise M3: that holds too when calls to the frozen node end all the time, because
// their deadlines come one after the other.
func TestLink_CallsThatTimeOutHideNoStuckLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		l := b.open()
		send := func() {
			p := parcel(1, "x", "frozen")
			p.Deadline = time.Now().Add(3 * time.Second)
			require.NoError(t, l.Add(p))
		}

		for range 8 {
			send()
			time.Sleep(350 * time.Millisecond)
		}

		for range 30 {
			send()
		}

		// Now the calls end, one every 350 milliseconds.
		time.Sleep(patience)
		synctest.Wait()

		alone, _ := b.calls("x")
		whole, _ := b.calls("x+frozen")
		require.Equal(t, 8+30, alone+whole)

		l.Fail(errors.New("over"))
	})
}

// An answer that says that a node behind the neighbour did not answer is not one.
func TestLate_TellsAnAnswerFromTheEndOfPatience(t *testing.T) {
	timeout := &ptypes.Ack{Failures: []*ptypes.Failure{{Reason: ptypes.Reason_REASON_TIMEOUT}}}
	refused := &ptypes.Ack{Failures: []*ptypes.Failure{{Reason: ptypes.Reason_REASON_REJECTED}}}

	require.True(t, late(timeout, nil))
	require.True(t, late(nil, context.DeadlineExceeded))
	require.True(t, late(nil, status.Error(codes.DeadlineExceeded, "late")))
	require.False(t, late(refused, nil))
	require.False(t, late(&ptypes.Ack{}, nil))
	require.False(t, late(nil, status.Error(codes.ResourceExhausted, "full")))
}

// bad is a packet that cannot be sliced.
type bad struct {
	router.Packet

	slice func() router.Packet
}

func (b bad) Slice(mino.Address) router.Packet { return b.slice() }

// Promise S1: a packet that cannot be split fails, and no other.
func TestLink_PacketThatCannotBeSplitFailsAlone(t *testing.T) {
	for name, test := range map[string]struct {
		slice func() router.Packet
		cause error
	}{
		"panic":   {func() router.Packet { panic("no") }, contain.ErrPanic},
		"no part": {func() router.Packet { return nil }, errPart},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &book{}
				l := b.open()
				l.box.budget = memory.NewBudget(1 << 20)

				for i := range byte(8) {
					broadcast(t, l, 'a'+i, "x", "frozen")
				}

				p := parcel(1, "x", "frozen")
				p.Packet = bad{Packet: p.Packet, slice: test.slice}
				p.Packet.GetMessage()[0] = 'B'
				p.Deadline = time.Now().Add(30 * time.Second)

				require.NoError(t, l.Add(p))
				broadcast(t, l, 'z', "x", "frozen")

				time.Sleep(patience)
				synctest.Wait()

				for _, id := range []string{"Bx", "Bfrozen"} {
					settled, err := b.outcome(id)
					require.True(t, settled)
					require.ErrorIs(t, err, test.cause)
					require.ErrorIs(t, err, ErrPacket)
				}

				settled, err := b.outcome("zx")
				require.True(t, settled)
				require.NoError(t, err)

				finish(t, l, b)
				require.Zero(t, l.box.budget.Used())
			})
		})
	}
}

// stuck returns an outbox with two parcels of a size for a and b under way that are
// not answered, and n that wait behind them.
func stuck(t *testing.T, maxPackets, size, n int) *outbox {
	t.Helper()

	box := &outbox{maxPackets: maxPackets, maxBytes: 1000, perLane: 2}

	for range 2 + n {
		require.NoError(t, box.add(parcel(size, "a", "b")))
	}

	require.NotNil(t, box.take())
	require.NotNil(t, box.take())
	require.Nil(t, box.take())
	box.findStuck(time.Now().Add(patience))

	return box
}

// What is sent to all of them leaves for each in the order in which it was added, and
// is drained in that order.
func TestOutbox_SplitKeepsTheOrder(t *testing.T) {
	box := stuck(t, 100, 1, 20)
	last := make(map[string]uint64)

	for range 20 {
		p := box.take()
		require.Len(t, p.Keys, 1)
		require.Greater(t, p.order, last[p.Keys[0]])
		last[p.Keys[0]] = p.order
		require.True(t, box.remove(p))
	}

	require.NoError(t, box.add(parcel(1, "c")))

	drained := box.drain()
	require.Equal(t, []string{"c"}, drained[len(drained)-1].Keys)
	require.True(t, slices.IsSortedFunc(drained, func(x, y *Parcel) int { return cmp.Compare(x.order, y.order) }))
}

// A part goes before what was added later for its destination alone.
func TestOutbox_PartGoesBeforeWhatWasAddedLater(t *testing.T) {
	box := stuck(t, 100, 1, 1)
	require.NoError(t, box.add(parcel(1, "a")))

	require.EqualValues(t, 3, box.take().order)
}

// A lane in which a call has ended is not stuck: what it takes next goes in one piece,
// and what waits then has a second to wait.
func TestOutbox_LaneThatMovesIsNotSplit(t *testing.T) {
	box := stuck(t, 100, 1, 2)
	ended := box.inOrder(func(p *Parcel) bool { return p.Sent })[0]

	require.True(t, box.remove(ended))
	box.moved(ended)
	require.Equal(t, []string{"a", "b"}, box.take().Keys)
	require.Nil(t, box.take())
}

// Promise M3: calls that end because their time is over, one now and one then, are no
// sign of life.
func TestOutbox_LaneWhoseCallsTimeOutGoesOnBeingSplit(t *testing.T) {
	box := stuck(t, 100, 1, 2)

	require.True(t, box.remove(box.inOrder(func(p *Parcel) bool { return p.Sent })[0]))
	require.Equal(t, []string{"a", "b"}, box.take().Keys)
	require.Equal(t, []string{"a"}, box.take().Keys)
}

// Promise M3: a split stays within the bounds, and goes on when there is room again.
func TestOutbox_SplitsOnlyWhatThereIsRoomFor(t *testing.T) {
	for name, test := range map[string]struct{ maxPackets, size, others, othersSize int }{
		"packets": {maxPackets: 12, size: 1, others: 9, othersSize: 1},
		"bytes":   {maxPackets: 100, size: 70, others: 3, othersSize: 240},
	} {
		t.Run(name, func(t *testing.T) {
			box := stuck(t, test.maxPackets, test.size, 1)

			for i := range test.others {
				require.NoError(t, box.add(parcel(test.othersSize, string(rune('m'+i)))))
			}

			var other *Parcel
			for range test.others {
				other = box.take()
				require.Len(t, other.Keys, 1)
			}

			require.Nil(t, box.take(), "there is no room for a part")
			require.True(t, box.remove(other))

			require.Nil(t, box.take(), "the lane is looked at again later")
			box.findStuck(time.Now().Add(2 * patience))
			require.Equal(t, []string{"a"}, box.take().Keys)
			require.Equal(t, []string{"b"}, box.take().Keys)
			require.LessOrEqual(t, len(box.held), box.maxPackets)
			require.LessOrEqual(t, box.bytes, box.maxBytes)
		})
	}
}

// A packet that a lost connection may still be reading is never changed, and holds up
// none that can be split.
func TestOutbox_PacketThatWasUnderWayIsNotSplit(t *testing.T) {
	box := stuck(t, 100, 1, 0)
	sent := box.drain()

	for _, p := range sent {
		require.NoError(t, box.add(&Parcel{Header: p.Header, Packet: p.Packet, Keys: p.Keys, Dests: p.Dests}))
		require.NoError(t, box.add(&Parcel{Header: p.Header, Packet: p.Packet, Keys: p.Keys, Dests: p.Dests}))
		require.NoError(t, box.add(parcel(1, "a", "b")))
		require.NoError(t, box.add(parcel(1, "a", "b")))
	}

	for range 4 {
		require.Equal(t, []string{"a", "b"}, box.take().Keys)
	}

	require.Nil(t, box.take())
	box.findStuck(time.Now().Add(patience))

	for range 4 {
		p := box.take()
		require.Len(t, p.Keys, 1)
		require.NotSame(t, sent[0].Packet, p.Packet)
	}

	require.Len(t, sent[0].Packet.GetDestination(), 2)
}
