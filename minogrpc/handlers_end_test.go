package minogrpc_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// endOfHandlers opens a stream over a tree of seven players below an orchestrator, lets something
// happen to it, and returns how long after that the last handler ends of those that still run.
func endOfHandlers(t *testing.T, opts []minogrpc.Option, happens func(n *sessiontest.Network, cancel func(),
	others func(dead int) []string),
) (took time.Duration) {
	t.Helper()

	const players = 7

	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		nodes := make([]*minogrpc.Minogrpc, players+1)

		var (
			running atomic.Int32
			rpc     mino.RPC
		)

		ended := make(chan time.Time, players)

		for i := range nodes {
			nodes[i] = ofHeight(t, network, 3, i, opts...)
			r := mino.MustCreateRPC(nodes[i], rpcName, handler{stream: func(out mino.Sender, in mino.Receiver) error {
				running.Add(1)

				err := echo.stream(out, in)
				if running.Add(-1); i > 1 {
					ended <- time.Now()
				}

				return err
			}}, texts{})

			if i == 0 {
				rpc = r
			}
		}

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()

		out, in, err := rpc.Stream(ctx, playersOf(nodes[1:]...))
		require.NoError(t, err)
		requireEchoes(t, out, in, nodes[1:]...)
		require.EqualValues(t, players, running.Load())

		time.Sleep(time.Second) // Between two signs of life.

		start := time.Now()
		happens(network, cancel, func(dead int) (others []string) {
			for i := range nodes {
				if i != dead {
					others = append(others, hostOf(i))
				}
			}

			return others
		})

		took = lastOf(ended, players-1).Sub(start)
	})

	return took
}

// lastOf returns the last of so many times.
func lastOf(times <-chan time.Time, count int) (last time.Time) {
	for range count {
		last = <-times
	}

	return last
}

// Promise L10: the handlers end in time after a cancel, and after the death of the orchestrator or
// of the root, also where nobody says goodbye.
func TestHandlers_EndInTime(t *testing.T) {
	const liveness = session.DefaultLiveness

	links := map[string][]minogrpc.Option{"duplex": nil, "unicast": {minogrpc.WithoutDuplex()}}
	rows := map[string]struct {
		happens func(n *sessiontest.Network, cancel func(), others func(dead int) []string)
		within  time.Duration
		// duplex rows need signs of life, which calls do not have.
		duplex bool
	}{
		"cancel": {
			happens: func(_ *sessiontest.Network, cancel func(), _ func(int) []string) { cancel() },
			within:  2500 * time.Millisecond,
		},
		"the orchestrator dies": {
			happens: func(n *sessiontest.Network, _ func(), others func(int) []string) {
				n.Cut(hostOf(0), others(0)...)
			},
			within: liveness + time.Second,
		},
		"the root dies": {
			happens: func(n *sessiontest.Network, _ func(), others func(int) []string) {
				n.Cut(hostOf(1), others(1)...)
			},
			within: liveness + 2*time.Second,
		},
		"the root falls silent": {
			happens: func(n *sessiontest.Network, _ func(), others func(int) []string) {
				for _, other := range others(1) {
					n.Freeze(hostOf(1), other)
					n.Freeze(other, hostOf(1))
				}
			},
			within: liveness + 2*time.Second,
			duplex: true,
		},
	}

	for name, row := range rows {
		for kind, opts := range links {
			if row.duplex && (kind != "duplex" || *linksFlag != duplexLinks) {
				continue
			}

			t.Run(fmt.Sprint(name, " ", kind), func(t *testing.T) {
				require.LessOrEqual(t, endOfHandlers(t, opts, row.happens), row.within)
			})
		}
	}
}

// Promise L10: a cancel is in time for those that can be reached, also where the link to another
// player holds what nobody will answer.
func TestHandlers_EndInTimeBesideASilentPlayer(t *testing.T) {
	took := endOfCancelBesideSilence(t)
	require.LessOrEqual(t, took, 2500*time.Millisecond)
}

// endOfCancelBesideSilence returns how long after the cancel the last handler ends, but for the one
// of the last player of a chain, which is silent while a message for it is under way.
func endOfCancelBesideSilence(t *testing.T) (took time.Duration) {
	t.Helper()

	const players = 5

	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		nodes := make([]*minogrpc.Minogrpc, players+1)
		ended := make(chan time.Time, players)

		var rpc mino.RPC

		for i := range nodes {
			nodes[i] = ofHeight(t, network, players, i)
			r := mino.MustCreateRPC(nodes[i], rpcName, handler{stream: func(out mino.Sender, in mino.Receiver) error {
				err := echo.stream(out, in)
				ended <- time.Now()

				return err
			}}, texts{})

			if i == 0 {
				rpc = r
			}
		}

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()

		out, in, err := rpc.Stream(ctx, playersOf(nodes[1:]...))
		require.NoError(t, err)
		requireEchoes(t, out, in, nodes[1:]...)

		for i := range players {
			network.Freeze(hostOf(players), hostOf(i))
			network.Freeze(hostOf(i), hostOf(players))
		}

		out.Send(text("unanswered"), nodes[players].GetAddress())
		synctest.Wait()

		start := time.Now()

		cancel()

		took = lastOf(ended, players-1).Sub(start)
	})

	return took
}
