package worlds_test

import (
	"io"
	"sync/atomic"
	"testing"

	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
)

// early is a table that makes packets at any time. It waits before it makes the one with the message
// "wait" that way, if there is something to wait for.
type early struct {
	router.RoutingTable

	begun, goOn chan struct{}
	made        *atomic.Int32
}

func newEarly(table router.RoutingTable) early {
	return early{table, make(chan struct{}), make(chan struct{}), new(atomic.Int32)}
}

func (e early) Make(src mino.Address, to []mino.Address, msg []byte) router.Packet {
	e.made.Add(1)

	return e.RoutingTable.Make(src, to, msg)
}

func (e early) MakeAnytime(src mino.Address, to []mino.Address, msg []byte) router.Packet {
	if string(msg) == "wait" {
		close(e.begun)
		<-e.goOn
	}

	return e.RoutingTable.Make(src, to, msg)
}

// Whoever makes a packet at any time does so without the lock: other goroutines send meanwhile.
func TestSend_MakesPacketsWithoutTheLock(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		table := newEarly(w.table(1, addr("a")))
		sess, _ := w.root(addr("a"), table)

		require.Empty(t, w.outcomes(sess.Send(fake.Message("first"), addr("a"))))

		sent := make(chan (<-chan error))

		go func() { sent <- sess.Send(fake.Message("wait"), addr("a")) }()

		<-table.begun
		require.Empty(t, w.outcomes(sess.Send(fake.Message("second"), addr("a"))))
		close(table.goOn)
		require.Empty(t, w.outcomes(<-sent))

		for _, want := range []string{"first", "second", "wait"} {
			_, msg := w.recv(sess)
			require.Equal(t, fake.Message(want), msg)
		}

		require.EqualValues(t, 1, table.made.Load(), "only the first was made under the lock")
	})
}

// A packet that was made early does not go by the table of another parent, which may be of another
// kind: that one makes its own.
func TestSend_MakesThePacketAgainForAnotherParent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess := w.session(addr("a"))
		other, used := newEarly(w.table(1, addr("a"))), newEarly(w.table(1, addr("a")))
		first, second := fake.NewRelay(addr("p0"), nil), fake.NewRelay(addr("p1"), nil)

		w.listen(sess, first, other)
		left := w.listen(sess, second, used)
		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("z"))))
		require.Len(t, second.Sent(), 1)

		sent := make(chan (<-chan error))

		go func() { sent <- sess.Send(fake.Message("wait"), addr("z")) }()

		<-used.begun
		second.End(io.EOF)
		<-left
		close(used.goOn)
		require.Empty(t, w.outcomes(<-sent))

		require.EqualValues(t, 1, other.made.Load())
		require.Len(t, first.Sent(), 1)
	})
}

// madEarly is a table that panics where a session asks before it needs to, or for less.
type madEarly struct {
	router.RoutingTable

	anytime, hop bool
}

func (m madEarly) MakeAnytime(src mino.Address, to []mino.Address, msg []byte) router.Packet {
	if m.anytime {
		panic("by the test")
	}

	return m.Make(src, to, msg)
}

func (m madEarly) NextHop(router.Packet) (mino.Address, bool) {
	if m.hop {
		panic("by the test")
	}

	return nil, false
}

// Promise S1: a panic of the optional methods of a table ends the stream, too, and Send still reports
// every outcome.
func TestPanic_OfTheShortcutsEndsTheSession(t *testing.T) {
	for name, table := range map[string]madEarly{"anytime": {anytime: true}, "hop": {hop: true}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				table.RoutingTable = w.table(1, addr("a"))
				sess, _ := w.root(addr("a"), table)

				require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("a"))))

				errs := w.outcomes(sess.Send(fake.Message("hello"), addr("z")))
				require.LessOrEqual(t, len(errs), 1)
				requirePanicked(t, sess)
			})
		})
	}
}
