package minogrpc_test

import (
	"context"
	"slices"
	"strconv"
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

// links are the options for trees with links of each kind.
var links = map[string][]minogrpc.Option{
	"duplex":  nil,
	"unicast": {minogrpc.WithoutDuplex()},
}

// Promise O7: of a player that dies as soon as its handler has a message, the sender is never told
// that the message was not delivered. Here the answers do not come back.
func TestTruth_DeathOfAPlayerThatHasTheMessageIsATimeout(t *testing.T) {
	for name, opts := range links {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := sessiontest.NewNetwork()
				t.Cleanup(network.Close)

				node, root, player := startIn(t, network, hostOf(1), opts...), startIn(t, network, hostOf(2), opts...),
					startIn(t, network, hostOf(3), opts...)
				rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
				mino.MustCreateRPC(root, rpcName, echo, texts{})

				var got atomic.Int32

				mino.MustCreateRPC(player, rpcName, handler{stream: func(_ mino.Sender, in mino.Receiver) error {
					for {
						_, _, err := in.Recv(context.Background())
						if err != nil {
							return err
						}

						if got.Add(1) == 2 {
							network.Cut(hostOf(3), hostOf(1), hostOf(2))
						}
					}
				}}, texts{})

				out, _, err := rpc.Stream(withContext(t), playersOf(root, player))
				require.NoError(t, err)
				requireDelivered(t, out.Send(text("before"), player.GetAddress()))

				network.Freeze(hostOf(3), hostOf(2))
				defer network.Heal(hostOf(3), hostOf(2))

				require.Equal(t, map[string]session.Reason{player.GetAddress().String(): session.ReasonTimeout},
					reasonsOf(t, out.Send(text("last"), player.GetAddress())))
				require.EqualValues(t, 2, got.Load())
			})
		})
	}
}

// Promise O7, the converse: what is known is told as such. Who was dead before the Send is
// unreachable, a full queue is an overflow, and for who takes no part there is no route. At most one
// in a hundred may be a timeout.
func TestTruth_WhatIsKnownIsNoTimeout(t *testing.T) {
	for name, opts := range links {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { auditKnown(t, opts) })
		})
	}
}

// auditKnown compares what is told with what is known.
func auditKnown(t *testing.T, opts []minogrpc.Option) {
	t.Helper()

	const sends = 5

	network := sessiontest.NewNetwork()
	t.Cleanup(network.Close)

	nodes, rpc := startDeaf(t, network, 9, opts)
	players := addressesOf(nodes[1:]...)
	want := map[string]session.Reason{address(99).String(): session.ReasonNoRoute}

	// Nobody has ever listened at these.
	for i := range 6 {
		players = append(players, address(50+i))
		want[address(50+i).String()] = session.ReasonUnreachable
	}

	out, _, err := rpc.Stream(withContext(t), mino.NewAddresses(players...))
	require.NoError(t, err)
	requireDelivered(t, out.Send(text("fills the queue"), addressesOf(nodes[1:]...)...))

	for _, node := range nodes[1:7] {
		want[node.GetAddress().String()] = session.ReasonOverflow
	}

	for _, node := range nodes[7:] {
		require.NoError(t, node.Stop())
		want[node.GetAddress().String()] = session.ReasonUnreachable
	}

	time.Sleep(time.Second)

	timeouts := 0

	for i := range sends {
		for dest, reason := range reasonsOf(t, out.Send(text(strconv.Itoa(i)), append(players, address(99))...)) {
			if reason == session.ReasonTimeout {
				timeouts++
			} else {
				require.Equal(t, want[dest], reason, dest)
			}
		}
	}

	require.LessOrEqual(t, 100*timeouts, sends*len(want))
}

// startDeaf starts nodes whose handlers never receive, and whose queues have room for one message.
func startDeaf(t *testing.T, network *sessiontest.Network, n int, opts []minogrpc.Option) (
	[]*minogrpc.Minogrpc, mino.RPC,
) {
	t.Helper()

	opts = append(slices.Clone(opts), minogrpc.WithSessionOptions(session.WithQueueLimits(1, 1<<20)))
	deaf := handler{stream: func(_ mino.Sender, in mino.Receiver) error {
		<-in.(session.Lifecycle).Done()

		return nil
	}}
	nodes := make([]*minogrpc.Minogrpc, n)
	rpcs := make([]mino.RPC, n)

	for i := range nodes {
		nodes[i] = startIn(t, network, hostOf(i+1), opts...)
		rpcs[i] = mino.MustCreateRPC(nodes[i], rpcName, deaf, texts{})
	}

	return nodes, rpcs[0]
}
