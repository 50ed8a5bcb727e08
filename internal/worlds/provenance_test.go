package worlds_test

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
)

// Promise S2: only neighbours feed a session, whatever source a packet names. The session does
// not even decode the packet of a stranger.
func TestNeighborsOnly_StrangerIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.guarded()
		parent := w.parent(g.sess, addr("p"), g.table)
		g.open("b0")

		require.False(t, g.call(addr("z"), addr("z")))
		require.False(t, g.call(addr("z"), addr("p")))
		// These are players below, but the session has not opened a link to them.
		require.False(t, g.call(addr("c0"), addr("c0")))
		require.False(t, g.call(addr("b1"), addr("b1")))
		// The same host in the other role is another node.
		require.False(t, g.call(session.NewOrchestratorAddress(addr("p")), addr("z")))

		_, err := g.sess.RecvPacket(addr("z"), &ptypes.Packet{Serialized: []byte("garbage")})
		require.ErrorIs(t, err, session.ErrStranger)

		// A table alone cannot turn a parent into a child.
		w.parent(g.sess, addr("b1"), g.table)
		require.False(t, g.call(addr("b1"), addr("c1")))
		require.True(t, g.call(addr("b1"), addr("z")))

		// The session goes on as if nothing had happened.
		require.True(t, g.frame(parent, addr("p")))
		require.True(t, g.frame(g.children["b0"], addr("b0")))
		require.Equal(t, 2, g.sess.GetNumParents())
		require.Empty(t, g.lost)
	})
}

// Promise S2: the table must be able to route the source of a packet over the link that it came
// by. If not, the packet is refused, and nothing else. That holds for calls and for frames.
func TestNeighborsOnly_SourceMustFitTheLink(t *testing.T) {
	sources := map[string]struct {
		source          mino.Address
		fromB0, fromTop bool
	}{
		"the child":                     {source: addr("b0"), fromB0: true},
		"one behind the child":          {source: addr("c0"), fromB0: true},
		"a sibling":                     {source: addr("b1")},
		"one behind a sibling":          {source: addr("c1")},
		"the node itself":               {source: addr("a")},
		"the parent":                    {source: addr("p"), fromTop: true},
		"somebody above":                {source: addr("z"), fromTop: true},
		"the orchestrator":              {source: orchestratorOf(addr("o")), fromTop: true},
		"the orchestrator on the child": {source: orchestratorOf(addr("b0")), fromTop: true},
	}

	for name, test := range sources {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				g := w.guarded()
				parent := w.parent(g.sess, addr("p"), g.table)
				g.open("b0", "b1")

				require.Equal(t, test.fromB0, g.call(addr("b0"), test.source))
				require.Equal(t, test.fromB0, g.frame(g.children["b0"], test.source))
				require.Equal(t, test.fromTop, g.call(addr("p"), test.source))
				require.Equal(t, test.fromTop, g.frame(parent, test.source))

				// The links that carried the lies go on.
				require.True(t, g.frame(g.children["b0"], addr("c0")))
				require.True(t, g.frame(g.children["b1"], addr("c1")))
				require.True(t, g.frame(parent, addr("z")))
				require.Equal(t, 1, g.sess.GetNumParents())
				require.Empty(t, g.lost)
			})
		})
	}
}

// Promise S2: the same holds for the stream of a parent that makes calls, and for a node that
// its table does not know.
func TestNeighborsOnly_LieOverAStreamIsDropped(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.guarded()
		parent := fake.NewRelay(addr("p"), nil)

		leaf, err := routerOf(3).GenerateTableFrom(g.table.PrepareHandshakeFor(addr("c0")))
		require.NoError(t, err)
		w.listen(g.sess, parent, leaf)

		parent.Feed(w.packet(addr("a"), addr("a")))
		parent.Feed(w.packet(addr("z"), addr("a")))
		synctest.Wait()

		from, _ := w.recv(g.sess)
		require.True(t, from.Equal(addr("z")))
		require.Equal(t, addrs("p"), g.refused)
		require.Equal(t, 1, g.sess.GetNumParents())
	})
}

// Packets of a lost neighbour may still be on their way.
func TestNeighborsOnly_NeighbourOfThePastIsTaken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.guarded()
		first := fake.NewRelay(addr("p"), nil)
		returned := w.listen(g.sess, first, g.table)

		w.listen(g.sess, fake.NewRelay(addr("q"), nil), w.table(1, addr("a")))
		require.True(t, g.call(addr("p"), addr("z")))

		first.End(io.EOF)
		<-returned

		require.True(t, g.call(addr("p"), addr("z")))
		require.False(t, g.call(addr("p"), addr("c0")), "its last table has it below")
		require.True(t, g.call(addr("q"), addr("c0")))
	})
}

// Promise R2: a node behind a lost child may send through that child, and from its new place.
// Promise S2: it may send from nowhere else.
func TestNeighborsOnly_AfterTheLossOfAChild(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.guarded()
		w.parent(g.sess, addr("p"), g.table)
		g.open("b0", "b1")
		g.lose("b0")

		require.True(t, g.call(addr("b0"), addr("b0")))
		require.True(t, g.call(addr("b0"), addr("c0")))
		// The session has tried in vain to open a link to it.
		require.True(t, g.call(addr("c0"), addr("c0")))
		require.False(t, g.call(addr("c0"), addr("b0")))
		require.False(t, g.call(addr("b1"), addr("c0")))
		require.False(t, g.call(addr("b0"), addr("c1")))

		// It may have found another parent.
		require.True(t, g.call(addr("p"), addr("b0")))
		require.False(t, g.call(addr("p"), addr("c1")))
	})
}

// Promise L5: a session hears the children that it had under a former parent, however often it
// is adopted. It uses the tables of that time and the new one.
func TestNeighborsOnly_AfterAnAdoption(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.guarded()
		first := w.parent(g.sess, addr("p"), g.table)
		g.open("b0")
		first.current().End(errLost)
		synctest.Wait()

		w.listen(g.sess, fake.NewRelay(addr("q"), nil), w.table(1, addr("a")))
		require.False(t, g.call(addr("p"), addr("c0")), "its last table has it below")

		for range 20 {
			again := fake.NewRelay(addr("p"), nil)
			returned := w.listen(g.sess, again, w.table(1, addr("a")))

			again.End(io.EOF)
			<-returned
		}

		require.True(t, g.call(addr("b0"), addr("c0")))
		require.False(t, g.call(addr("b0"), addr("c1")))
		require.True(t, g.call(addr("q"), addr("c0")), "it may be below somebody else now")
		require.True(t, g.call(addr("p"), addr("c0")), "its last table has nobody below")

		// A new table that has more players behind the child uses the existing link.
		w.listen(g.sess, fake.NewRelay(addr("r"), nil), w.table(2, addr("a"), below("b", "c", "d")...))
		require.True(t, g.call(addr("b0"), addr("d0")))
		require.False(t, g.call(addr("b0"), addr("d1")))
	})
}

// Promise S3: a session remembers a bounded number of former parents, the last ones.
func TestNeighborsOnly_FormerParentsAreBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.guarded()
		w.listen(g.sess, fake.NewRelay(addr("p"), nil), g.table)

		for i := range 18 {
			parent := fake.NewRelay(addr(fmt.Sprintf("p%d", i)), nil)
			returned := w.listen(g.sess, parent, w.table(1, addr("a")))

			parent.End(io.EOF)
			<-returned
		}

		require.False(t, g.call(addr("p0"), addr("z")))
		require.False(t, g.call(addr("p1"), addr("z")))
		require.True(t, g.call(addr("p2"), addr("z")))
		require.True(t, g.call(addr("p17"), addr("z")))
		require.True(t, g.call(addr("p"), addr("z")))
	})
}

// A session does not ask a router that cannot tell where sources are. It still refuses
// strangers.
func TestNeighborsOnly_TableThatCannotTellIsNotAsked(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.guarded()
		w.parent(g.sess, addr("p"), chain{gateway: addr("b0"), Table: g.table})
		g.open("b0")

		require.True(t, g.call(addr("p"), addr("c0")))
		require.True(t, g.call(addr("b0"), addr("z")))
		require.False(t, g.call(addr("z"), addr("z")))
	})
}

// panicking is a table that panics when the session asks about a source.
type panicking struct{ Table }

func (panicking) MayCome(mino.Address, mino.Address) bool { panic("oops") }

// Promise S1: a table that panics when it is asked about a source ends only the session.
func TestNeighborsOnly_PanicOfTheTableIsContained(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.guarded()
		w.parent(g.sess, addr("p"), panicking{g.table})

		_, err := g.sess.RecvPacket(addr("p"), w.packet(addr("z"), addr("a")))
		require.ErrorContains(t, err, "oops")
		require.NotErrorIs(t, err, session.ErrStranger)
		<-g.sess.(session.Lifecycle).Done()
		require.ErrorContains(t, g.sess.(session.Lifecycle).Err(), "oops")
	})
}

// Promise S2: a node that has learned the identity of a sender's messages cannot make them look
// delivered or overtaken.
func TestDedupe_ForgedOriginDoesNotSpoilTheOther(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		g := w.guarded()
		parent := w.parent(g.sess, addr("p"), g.table)
		g.open("b0")

		liar := g.children["b0"]
		for _, sequence := range []uint64{7, 1000} {
			liar.feed(&ptypes.Packet{Parcels: []*ptypes.Parcel{liar.parcelOf(addr("b0"), sequence, addr("a"))}})
		}

		synctest.Wait()
		parent.send(7, addr("a"))
		parent.send(8, addr("a"))
		parent.send(8, addr("a"))
		synctest.Wait()
		w.requireArrived(g.sess, 7, 1000, 7, 8)

		for id := range uint64(3) {
			require.Equal(t, verdict{over: true}, parent.verdicts()[id+1])
		}
	})
}

// The check where a packet comes from allocates no memory.
func TestNeighborsOnly_TakesNoMemoryForAPacket(t *testing.T) {
	allocs := func(from mino.Address, opts ...session.Option) float64 {
		sess := session.NewSession(nil, addr("a"), fake.MessageFactory{}, routerOf(3).GetPacketFactory(),
			json.NewContext(), make(playedConns), opts...)
		w := &world{T: t}
		sess.SetPassive(fake.NewRelay(addr("p"), nil), w.table(2, addr("a"), below("b", "c")...))
		w.outcomes(sess.Send(fake.Message("hello"), addr("b0")))

		p := w.packet(from, addr("a"))
		perPacket := testing.AllocsPerRun(1000, func() {
			_, err := sess.RecvPacket(from, p)
			require.NoError(t, err)
		})

		sess.Close()
		<-sess.(session.Lifecycle).Done()

		return perPacket
	}

	for _, from := range addrs("p", "b0") {
		require.InDelta(t, allocs(from), allocs(from, session.WithNeighborsOnly()), 0.5)
	}
}
