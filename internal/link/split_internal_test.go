package link

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link/calls"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
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

		time.Sleep(calls.Patience)
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

// Promise M3: what is added to a lane that is known to be overdue does not wait.
func TestLink_WhatFollowsInAStuckLaneIsSplitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{}
		l := b.open()

		for i := range byte(8) {
			broadcast(t, l, 'a'+i, "x", "frozen")
		}

		for i := range byte(5) {
			time.Sleep(calls.Patience)
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
		b := &book{delay: calls.Patience - time.Millisecond}
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

// A set that was overdue is sent to in one piece again when its calls have ended.
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
			p := newParcel(1, "x", "frozen")
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
		time.Sleep(calls.Patience)
		synctest.Wait()

		alone, _ := b.calls("x")
		whole, _ := b.calls("x+frozen")
		require.Equal(t, 8+30, alone+whole)

		l.Fail(errors.New("over"))
	})
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
		"no part": {func() router.Packet { return nil }, calls.ErrPart},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &book{}
				l := b.open()
				l.box.Budget = memory.NewBudget(1 << 20)

				for i := range byte(8) {
					broadcast(t, l, 'a'+i, "x", "frozen")
				}

				p := newParcel(1, "x", "frozen")
				p.Packet = bad{Packet: p.Packet, slice: test.slice}
				p.Packet.GetMessage()[0] = 'B'
				p.Deadline = time.Now().Add(30 * time.Second)

				require.NoError(t, l.Add(p))
				broadcast(t, l, 'z', "x", "frozen")

				time.Sleep(calls.Patience)
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
				require.Zero(t, l.box.Budget.Used())
			})
		})
	}
}
