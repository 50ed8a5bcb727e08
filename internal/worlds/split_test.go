package worlds_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// gateway is a node that passes packets on at once, and answers when all nodes behind it have
// them. One of those nodes is frozen.
type gateway struct {
	frozen mino.Address

	mu sync.Mutex
	// got are the messages of each node behind it, in the order in which they came.
	got map[string][]string
}

// peer returns the peer that plays the gateway.
func (g *gateway) peer() *sessiontest.Peer {
	g.got = make(map[string][]string)

	return &sessiontest.Peer{OnForward: func(ctx context.Context, p *ptypes.Packet) (*ptypes.Ack, error) {
		packet, err := routerOf(3).GetPacketFactory().PacketOf(json.NewContext(), p.GetSerialized())
		if err != nil {
			return nil, err
		}

		if slices.ContainsFunc(g.pass(packet.GetMessage(), packet.GetDestination()), g.frozen.Equal) {
			<-ctx.Done()

			return nil, ctx.Err()
		}

		return &ptypes.Ack{}, nil
	}}
}

func (g *gateway) pass(message []byte, to []mino.Address) []mino.Address {
	g.mu.Lock()
	defer g.mu.Unlock()

	for _, dest := range to {
		g.got[dest.String()] = append(g.got[dest.String()], string(message))
	}

	return to
}

// has returns the messages of one of the nodes behind it.
func (g *gateway) has(dest mino.Address) []string {
	g.mu.Lock()
	defer g.mu.Unlock()

	return slices.Clone(g.got[dest.String()])
}

// Promise M3: a frozen destination costs the other destinations of a send two seconds at most,
// however much is sent.
// Promise O6: their outcomes do not wait for it either.
func TestSend_BroadcastsDoNotWaitForAFrozenPlayer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		behind := &gateway{frozen: addr("d")}
		players := addrs("c", "d", "e")
		w.peer("b", behind.peer())

		table := &detour{RoutingTable: w.table(1, addr("a"), players...), gateways: addrs("b")}
		sess, _ := w.root(addr("a"), table)
		sends := make([]<-chan error, 12)

		want := make([]string, 0, len(sends))
		for i := range sends {
			want = append(want, strconv.Itoa(i))
			sends[i] = sess.Send(fake.Message(want[i]), players...)
		}

		time.Sleep(2 * time.Second)
		synctest.Wait()

		require.ElementsMatch(t, want, behind.has(addr("c")))
		require.ElementsMatch(t, want, behind.has(addr("e")))

		began := time.Now()

		for i, errs := range sends {
			failed := reasons(w.outcomes(errs))
			require.Equal(t, session.ReasonTimeout, failed[addr("d").String()])

			// The first eight messages share an answer with the frozen node.
			if i >= 8 {
				require.Len(t, failed, 1)
			}
		}

		require.LessOrEqual(t, time.Since(began), session.DefaultOutcomeTimeout)
	})
}
