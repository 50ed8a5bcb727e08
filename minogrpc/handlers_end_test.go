package minogrpc_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// plant is a tree of players below an orchestrator, whose handlers tell when they end.
type plant struct {
	network *sessiontest.Network
	// nodes are the orchestrator and the players, the root first.
	nodes []*minogrpc.Minogrpc
	out   mino.Sender
	// cancel ends the stream of the orchestrator.
	cancel func()
	ended  chan farewell
}

// farewell is the end of the handler of a player.
type farewell struct {
	player int
	at     time.Time
}

// newPlant returns a tree over which everybody has answered. The options are those of each node.
func newPlant(t *testing.T, players, height int, opts func(i int) []minogrpc.Option) *plant {
	t.Helper()

	p := &plant{
		network: sessiontest.NewNetwork(),
		nodes:   make([]*minogrpc.Minogrpc, players+1),
		ended:   make(chan farewell, players),
	}

	rpcs := make([]mino.RPC, len(p.nodes))

	for i := range p.nodes {
		p.nodes[i] = ofHeight(t, p.network, height, i, opts(i)...)
		telling := func(out mino.Sender, in mino.Receiver) error {
			err := echo.stream(out, in)
			p.ended <- farewell{i, time.Now()}

			return err
		}
		rpcs[i] = mino.MustCreateRPC(p.nodes[i], rpcName, handler{stream: telling}, texts{})
	}

	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)

	out, in, err := rpcs[0].Stream(ctx, playersOf(p.nodes[1:]...))
	require.NoError(t, err)
	requireEchoes(t, out, in, p.nodes[1:]...)
	require.Empty(t, p.ended)

	p.out, p.cancel = out, cancel

	return p
}

// others returns the hosts of all the nodes but one.
func (p *plant) others(dead int) (hosts []string) {
	for i := range p.nodes {
		if i != dead {
			hosts = append(hosts, hostOf(i))
		}
	}

	return hosts
}

// silence freezes what a node sends, and what the others send to it.
func (p *plant) silence(node int) {
	for _, other := range p.others(node) {
		p.network.Freeze(hostOf(node), other)
		p.network.Freeze(other, hostOf(node))
	}
}

// lastEnd returns how long it takes until the handlers have ended of all the players but one.
func (p *plant) lastEnd(since time.Time, but int) (took time.Duration) {
	for left := len(p.nodes) - 2; left > 0; {
		if end := <-p.ended; end.player != but {
			took = end.at.Sub(since)
			left--
		}
	}

	return took
}

// Promise L10: a node that another one is just adopting when the stream ends hears of the end, and
// does not wait for a parent.
func TestHandlers_EndOfAStreamDuringAnAdoption(t *testing.T) {
	if *linksFlag != duplexLinks {
		return // A call has no goodbye that could be late.
	}

	synctest.Test(t, func(t *testing.T) {
		adopted := make(chan struct{}, 1)
		observer := session.Observer{RelayOpened: func(_ session.StreamInfo, peer mino.Address) {
			if peer.String() == address(chainRoot).String() {
				adopted <- struct{}{}
			}
		}}
		p := newPlant(t, chainLeaf, 3, func(i int) []minogrpc.Option {
			if i != chainLeaf {
				return nil
			}

			return []minogrpc.Option{minogrpc.WithSessionOptions(session.WithObserver(observer))}
		})

		// The answer of the adopted node takes a while.
		p.network.Delay(hostOf(chainLeaf), hostOf(chainRoot), 500*time.Millisecond)
		p.network.Cut(hostOf(chainInner), p.others(chainInner)...)
		<-adopted
		p.cancel()

		require.Less(t, p.lastEnd(time.Now(), chainInner), 1500*time.Millisecond)
	})
}

// Promise L10: the handlers end in time after a cancel, and after the death of the orchestrator or
// of the root, also where nobody says goodbye.
func TestHandlers_EndInTime(t *testing.T) {
	const liveness = session.DefaultLiveness

	unicast := []minogrpc.Option{minogrpc.WithoutDuplex()}
	links := map[string]func(i int) []minogrpc.Option{
		"duplex":  func(int) []minogrpc.Option { return nil },
		"unicast": func(int) []minogrpc.Option { return unicast },
		// Some of the players are between two that differ from them, some are below their like.
		"mixed":    func(i int) []minogrpc.Option { return unicast[:i/2%2] },
		"mixed, 2": func(i int) []minogrpc.Option { return unicast[:1-i%2] },
	}
	rows := map[string]struct {
		happens func(p *plant)
		within  time.Duration
		// duplex rows need signs of life, which calls do not have.
		duplex bool
	}{
		"cancel": {
			happens: func(p *plant) { p.cancel() },
			within:  2500 * time.Millisecond,
		},
		"the orchestrator dies": {
			happens: func(p *plant) { p.network.Cut(hostOf(0), p.others(0)...) },
			within:  liveness + time.Second,
		},
		"the root dies": {
			happens: func(p *plant) { p.network.Cut(hostOf(1), p.others(1)...) },
			within:  liveness + 2*time.Second,
		},
		"the root falls silent": {
			happens: func(p *plant) { p.silence(1) },
			within:  liveness + 2*time.Second,
			duplex:  true,
		},
	}

	for name, row := range rows {
		for kind, opts := range links {
			if row.duplex && (kind != "duplex" || *linksFlag != duplexLinks) {
				continue
			}

			t.Run(fmt.Sprint(name, " ", kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newPlant(t, 7, 3, opts)

					time.Sleep(time.Second) // Between two signs of life.

					start := time.Now()

					row.happens(p)
					require.LessOrEqual(t, p.lastEnd(start, 1), row.within)
				})
			})
		}
	}
}

// Promise L10: a cancel is in time for those that can be reached, also where the link to another
// player holds what nobody will answer.
func TestHandlers_EndInTimeBesideASilentPlayer(t *testing.T) {
	const players = 5

	synctest.Test(t, func(t *testing.T) {
		p := newPlant(t, players, players, func(int) []minogrpc.Option { return nil })

		p.silence(players)
		p.out.Send(text("unanswered"), p.nodes[players].GetAddress())
		synctest.Wait()

		start := time.Now()

		p.cancel()
		require.LessOrEqual(t, p.lastEnd(start, players), 2500*time.Millisecond)
	})
}
