package worlds_test

import (
	"context"
	"io"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

// brittle is a packet that panics once it has been asked for something so often.
type brittle struct {
	router.Packet

	left *atomic.Int32
}

func (b brittle) ask() {
	if b.left.Add(-1) == 0 {
		panic("by the test")
	}
}

func (b brittle) GetSource() mino.Address {
	b.ask()

	return b.Packet.GetSource()
}

func (b brittle) GetDestination() []mino.Address {
	b.ask()

	return b.Packet.GetDestination()
}

func (b brittle) GetMessage() []byte {
	b.ask()

	return b.Packet.GetMessage()
}

func (b brittle) Slice(addr mino.Address) router.Packet {
	b.ask()

	mine := b.Packet.Slice(addr)
	if mine == nil {
		return nil
	}

	return brittle{mine, b.left}
}

// Promises O7, S1: wherever a packet panics, its neighbour is not told that it was refused if it is in the
// queue, nor that it was delivered if it is not.
func TestFrame_PacketThatPanicsHasATrueOutcome(t *testing.T) {
	for name, to := range map[string][]mino.Address{"alone": addrs("a"), "others": addrs("a", "stranger")} {
		t.Run(name, func(t *testing.T) {
			panicked := true

			for n := int32(1); panicked; n++ {
				t.Run(strconv.Itoa(int(n)), func(t *testing.T) {
					inWorld(t, func(_ *testing.T, w *world) { panicked = w.requireTruthAbout(n, to) })
				})
			}
		})
	}
}

// requireTruthAbout sends a packet to a session whose n-th call panics. It returns whether that was called.
func (w *world) requireTruthAbout(n int32, to []mino.Address) (panicked bool) {
	left := new(atomic.Int32)
	left.Store(n)

	pktFac := wrapping{routerOf(3).GetPacketFactory(), func(p router.Packet) router.Packet { return brittle{p, left} }}
	observer := session.Observer{PacketDelivered: func(session.StreamInfo, session.PacketInfo) {}}
	sess := session.NewSession(nil, addr("a"), fake.MessageFactory{}, pktFac, json.NewContext(), nil,
		session.WithObserver(observer))
	parent := w.parent(sess, session.NewOrchestratorAddress(addr("o")), w.table(1, addr("a")))

	parcel := parent.send(1, to...)
	synctest.Wait()

	panicked = left.Load() <= 0
	left.Store(-1) // Nothing panics any more.

	ctx, cancel := context.WithTimeout(w.Context(), time.Second)
	defer cancel()

	_, _, err := sess.Recv(ctx)
	said := parent.verdicts()[parcel.GetId()]
	reason, failed := said.failed["FAa:1"]

	if general, ok := said.failed[""]; ok {
		reason, failed = general, true
	}

	require.True(w, said.over)
	require.Equal(w, err == nil, !failed, "the neighbour was told %v, and Recv returns %v", reason, err)

	return panicked
}

// heavy is a table that a test finds again as long as anybody has it.
type heavy struct{ early }

// Promise M3: a table whose parent is gone counts for no budget any more, and nobody keeps it.
func TestSend_KeepsNoTableOfAParentThatIsGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		first, second := fake.NewRelay(addr("p0"), nil), fake.NewRelay(addr("p1"), nil)
		w.listen(sess, first, w.table(1, addr("a")))

		table := &heavy{newEarly(w.table(1, addr("a")))}
		found := weak.Make(table)
		left := w.listen(sess, second, table)

		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("z"))))
		require.Len(t, second.Sent(), 1)

		second.End(io.EOF)
		<-left
		time.Sleep(time.Minute)
		runtime.GC()
		require.Nil(t, found.Value())
	})
}
