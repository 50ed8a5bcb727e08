package worlds_test

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// guarded is a session of node a that takes packets only from its neighbours. In its table a
// has the children b0 to b4, with c0 behind b0, c1 behind b1, and so on. Only b0 and b1 exist.
type guarded struct {
	*world

	sess     session.Session
	table    router.RoutingTable
	children map[string]*neighbour

	// Several goroutines call the observer at once; the test reads when they rest.
	mu sync.Mutex
	// refused lists the senders of the packets that the observer saw refused. lost lists the
	// neighbours that it saw lost.
	refused []mino.Address
	lost    []mino.Address
}

func (w *world) guarded() *guarded {
	g := &guarded{world: w, table: w.table(2, addr("a"), below("b", "c")...)}
	observer := session.Observer{
		PacketRefused: func(_ session.StreamInfo, from mino.Address, err error) {
			require.ErrorIs(w, err, session.ErrStranger)
			g.mu.Lock()
			defer g.mu.Unlock()

			g.refused = append(g.refused, from)
		},
		RelayLost: func(_ session.StreamInfo, peer mino.Address, _ error) {
			g.mu.Lock()
			defer g.mu.Unlock()

			g.lost = append(g.lost, peer)
		},
	}
	opts := []session.Option{session.WithNeighborsOnly(), session.WithObserver(observer)}
	g.sess, g.children = w.diallingWith(opts, addr("a"), "b0", "b1")

	return g
}

// below returns the players of a tree of height two, in order. b0 to b4 are the children, and
// each of the other players is behind the child with its number.
func below(letters ...string) []mino.Address {
	const children = 5

	players := make([]mino.Address, 0, children*len(letters))

	for i := range children {
		for _, letter := range letters {
			players = append(players, addr(fmt.Sprint(letter, i)))
		}
	}

	return players
}

// open makes the session open links to its children.
func (g *guarded) open(names ...string) {
	for _, name := range names {
		g.sess.Send(fake.Message("hello"), addr(name))
		synctest.Wait()
		require.NotEmpty(g, g.children[name].received())
	}
}

// lose ends the link to a child.
func (g *guarded) lose(name string) {
	g.children[name].current().Feed(&ptypes.Packet{Goodbye: true})
	g.children[name].current().End(io.EOF)
	synctest.Wait()
	require.Contains(g, g.lost, mino.Address(addr(name)))
}

// call sends the session a message in a call, and returns whether the session takes it. If not,
// the error and the observer must name the sender.
func (g *guarded) call(from, source mino.Address) bool {
	before := len(g.refused)

	ack, err := g.sess.RecvPacket(from, g.packet(source, addr("a")))
	if err == nil {
		require.Empty(g, ack.GetErrors())
		require.Len(g, g.refused, before)

		got, _ := g.recv(g.sess)
		require.True(g, got.Equal(source))

		return true
	}

	require.ErrorIs(g, err, session.ErrStranger)
	require.Len(g, g.refused, before+1)

	// A lie that the caller may only have passed on costs it the packet alone.
	want := codes.PermissionDenied
	if errors.Is(err, session.ErrSource) {
		want = codes.InvalidArgument
	}

	require.Equal(g, want, status.Code(err))
	require.Equal(g, from, g.refused[before])

	return false
}

// frame is call for a message over the duplex link of a neighbour.
func (g *guarded) frame(from *neighbour, source mino.Address) bool {
	before := len(g.refused)
	parcel := from.parcelOf(source, from.parcels+1, addr("a"))
	from.feed(&ptypes.Packet{Parcels: []*ptypes.Parcel{parcel}})
	synctest.Wait()

	answer := from.verdicts()[parcel.GetId()]
	require.True(g, answer.over)

	if len(answer.failed) == 0 {
		require.Len(g, g.refused, before)
		g.recv(g.sess)

		return true
	}

	require.Equal(g, map[string]ptypes.Reason{"": ptypes.Reason_REASON_REJECTED}, answer.failed)
	require.Len(g, g.refused, before+1)
	require.Equal(g, from.addr, g.refused[before])

	return false
}
