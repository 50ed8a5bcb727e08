package worlds_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// numbered returns a packet of a source, with an origin that differs from those of other numbers.
func (w *world) numbered(source mino.Address, origin int) *ptypes.Packet {
	p := w.packet(source, addr("a"))
	p.Origin = binary.BigEndian.AppendUint64(make([]byte, 8, 16), uint64(origin))
	p.Sequence, p.HopLimit = 1, 1

	return p
}

// depth returns an observer that keeps the number of messages that nobody has read.
func depth(n *int) session.Option {
	return session.WithObserver(session.Observer{QueueDepth: func(_ session.StreamInfo, packets, _ int) {
		*n = packets
	}})
}

// Promise M2: a session delivers each message once, however many players send to it.
// Promise M3: what it remembers for that is in the budget of the node until it ends.
func TestCopies_OfFiveThousandSenders(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const senders = 5000

		delivered := 0
		budget := session.NewMemoryBudget(64 << 20)
		sess := w.session(addr("a"), depth(&delivered), session.WithMemoryBudget(budget))
		w.parent(sess, addr("p"), w.table(1, addr("a")))

		for range 2 {
			for i := range senders {
				require.Empty(t, w.receive(sess, addr("p"), w.numbered(addr(fmt.Sprint("n", i)), i)))
			}

			require.Equal(t, senders, delivered)
		}

		require.Greater(t, budget.Used(), senders<<10)
		sess.Close()
		<-sess.(session.Lifecycle).Done()
		require.Zero(t, budget.Used())
	})
}

// Promise M2: a member that invents sessions makes no message of another arrive twice, if that
// comes from elsewhere, or if the member can speak for itself alone.
// Promise M3: nor does it cost memory without bound, which is in the budget of the node.
func TestCopies_LiarWithInventedOrigins(t *testing.T) {
	const invented = 10_000

	for name, liar := range map[string]struct{ from, source mino.Address }{
		"another child":                     {from: addr("b0"), source: addr("b0")},
		"another child, in the same name":   {from: addr("b0"), source: addr("z")},
		"a player behind the same parent":   {from: addr("p"), source: addr("y")},
		"a stranger, in the name of anyone": {from: addr("s"), source: addr("z")},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				delivered := 0
				budget := session.NewMemoryBudget(64 << 20)
				sess := w.session(addr("a"), depth(&delivered), session.WithMemoryBudget(budget))
				w.parent(sess, addr("p"), w.table(2, addr("a"), below("b", "c")...))
				w.peer("b0", &sessiontest.Peer{})
				require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addr("b0"))))

				honest := w.numbered(addr("z"), -1)
				require.Empty(t, w.receive(sess, addr("p"), honest))

				for i := range invented {
					require.Empty(t, w.receive(sess, liar.from, w.numbered(liar.source, i)))
				}

				require.Equal(t, 1+invented, delivered)
				require.Empty(t, w.receive(sess, addr("p"), honest))
				require.Equal(t, 1+invented, delivered)

				for range delivered {
					w.recv(sess)
				}

				require.Less(t, budget.Used(), 64<<10)
				sess.Close()
				<-sess.(session.Lifecycle).Done()
				require.Zero(t, budget.Used())
			})
		})
	}
}
