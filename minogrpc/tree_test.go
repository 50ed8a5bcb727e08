package minogrpc_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// address returns the address of a node in the network in memory.
func address(i int) mino.Address {
	return session.NewAddress(scheme() + "://" + hostOf(i))
}

// hostOf returns where a node of the network in memory listens.
func hostOf(i int) string {
	return fmt.Sprintf("n%d:1", i)
}

// reasonsOf returns the reason for each destination that was not reached.
func reasonsOf(t *testing.T, outcomes <-chan error) map[string]session.Reason {
	t.Helper()

	reasons := make(map[string]session.Reason)

	for err := range outcomes {
		var failure *session.DeliveryError
		require.ErrorAs(t, err, &failure)

		dest := failure.Destination.String()
		require.NotContains(t, reasons, dest)
		reasons[dest] = failure.Reason
	}

	return reasons
}

// Promise M2: what is awaited arrives in the order of the sends, however slow the
// reader is.
func TestTree_AwaitedSendsArriveInOrder(t *testing.T) {
	const sends = 6000

	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		got := make(chan string, sends)
		slow := handler{stream: func(_ mino.Sender, in mino.Receiver) error {
			for i := 0; ; i++ {
				_, msg, err := in.Recv(context.Background())
				if err != nil {
					return err
				}

				if i%500 == 0 {
					time.Sleep(time.Second) // Virtual time.
				}

				got <- string(msg.(text))
			}
		}}

		var rpc mino.RPC
		for i := range 3 {
			rpc = mino.MustCreateRPC(startIn(t, network, hostOf(i)), rpcName, slow, texts{})
		}

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()

		out, _, err := rpc.Stream(ctx, mino.NewAddresses(address(0), address(1)))
		require.NoError(t, err)

		for i := range sends {
			requireDelivered(t, out.Send(text(strconv.Itoa(i)), address(1)))
		}

		for i := range sends {
			require.Equal(t, strconv.Itoa(i), <-got)
		}
	})
}

// Promise R1: what nobody knows has no route, at once, and nothing circulates.
func TestTree_UnknownDestinationIsNoRouteAndNothingCirculates(t *testing.T) {
	stranger := session.NewAddress("grpc://stranger:1")
	other := session.NewOrchestratorAddress(address(99))
	itself := address(0) // The orchestrator, which is no player in its follower form.
	nowhere := []mino.Address{stranger, other, itself, session.NewAddress("")}
	bad := func(out mino.Sender) <-chan error { return out.Send(text("lost"), nowhere...) }
	want := make(map[string]session.Reason)

	for _, addr := range nowhere {
		want[addr.String()] = session.ReasonNoRoute
	}

	synctest.Test(t, func(t *testing.T) {
		var frames atomic.Int64

		network := sessiontest.NewNetwork()
		counting := minogrpc.WithSessionOptions(session.WithObserver(session.Observer{
			PacketSent: func(session.StreamInfo, mino.Address, session.PacketInfo) { frames.Add(1) },
		}))
		outcomes := make(chan (<-chan error), 20)
		h := handler{stream: func(out mino.Sender, in mino.Receiver) error {
			for {
				_, _, err := in.Recv(context.Background())
				if err != nil {
					return err
				}

				outcomes <- bad(out)
			}
		}}

		const players = 12

		addrs := make([]mino.Address, players)
		rpc := mino.MustCreateRPC(startIn(t, network, hostOf(0), counting), rpcName, h, texts{})

		for i := range players {
			mino.MustCreateRPC(startIn(t, network, hostOf(i+1), counting), rpcName, h, texts{})
			addrs[i] = address(i + 1)
		}

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()

		out, _, err := rpc.Stream(ctx, mino.NewAddresses(addrs...))
		require.NoError(t, err)

		start := time.Now()
		require.Equal(t, want, reasonsOf(t, bad(out)))

		requireDelivered(t, out.Send(text("go"), addrs...))

		for range players {
			require.Equal(t, want, reasonsOf(t, <-outcomes))
		}

		require.Less(t, time.Since(start), time.Second)

		settled := frames.Load()

		time.Sleep(time.Minute) // Virtual time.
		require.Equal(t, settled, frames.Load())
	})
}

// Promise O1: the orchestrator is told about every destination that cannot be
// reached, at any height of the tree.
func TestTree_EveryUnreachableDestinationIsReported(t *testing.T) {
	for height := 1; height <= 3; height++ {
		t.Run(strconv.Itoa(height), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := sessiontest.NewNetwork()
				rpc := mino.MustCreateRPC(ofHeight(t, network, height, 0), rpcName, echo, texts{})
				mino.MustCreateRPC(ofHeight(t, network, height, 1), rpcName, echo, texts{})

				players := make([]mino.Address, 21)
				for i := range players {
					players[i] = address(i + 1)
				}

				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()

				out, _, err := rpc.Stream(ctx, mino.NewAddresses(players...))
				require.NoError(t, err)

				want := make(map[string]session.Reason)
				for _, addr := range players[1:] {
					want[addr.String()] = session.ReasonUnreachable
				}

				require.Equal(t, want, reasonsOf(t, out.Send(text("hello"), players...)))
			})
		})
	}
}

// Promise R2: an interior node that is lost costs only itself, before and after
// the loss has been noticed.
func TestTree_LostInteriorNodeCostsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()

		const players = 31

		nodes := make([]*minogrpc.Minogrpc, players)
		rpc := mino.MustCreateRPC(ofHeight(t, network, 2, 0), rpcName, echo, texts{})

		for i := range nodes {
			nodes[i] = ofHeight(t, network, 2, i+1)
			mino.MustCreateRPC(nodes[i], rpcName, echo, texts{})
		}

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()

		out, in, err := rpc.Stream(ctx, playersOf(nodes...))
		require.NoError(t, err)
		requireEchoes(t, out, in, nodes...)

		// With 30 players below it, the root has five children with five each. The
		// second of the list is the first of them.
		require.NoError(t, nodes[1].Stop())
		synctest.Wait() // What the root hands over before it hears of the stop is in doubt.

		for range 3 {
			outcomes := out.Send(text("hello"), addressesOf(nodes...)...)
			require.Equal(t, map[string]session.Reason{
				nodes[1].GetAddress().String(): session.ReasonUnreachable,
			}, reasonsOf(t, outcomes))

			for range players - 1 {
				_, _, err := in.Recv(ctx)
				require.NoError(t, err)
			}
		}
	})
}

// reporting is echo, and reports the replies that do not arrive.
func reporting(failed chan<- error) handler {
	return handler{stream: func(out mino.Sender, in mino.Receiver) error {
		for {
			from, msg, err := in.Recv(context.Background())
			if err != nil {
				return err
			}

			go func() {
				for err := range out.Send(msg, from) {
					failed <- err
				}
			}()
		}
	}}
}

// ofHeight starts a node of a tree of a height.
func ofHeight(t *testing.T, network *sessiontest.Network, height, i int, opts ...minogrpc.Option) *minogrpc.Minogrpc {
	t.Helper()

	router := tree.NewRouter(minogrpc.NewAddressFactory(), tree.WithHeight(height))
	node := newRouted(t, network, hostOf(i), router, opts...)
	t.Cleanup(func() { require.NoError(t, node.Stop()) })

	return node
}

// Promise R2: an interior node that is stopped while many send costs no other node a
// message, in either direction.
func TestTree_StopUnderLoadCostsOnlyTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const players = 13

		network := sessiontest.NewNetwork()
		nodes := make([]*minogrpc.Minogrpc, players)
		failed := make(chan error, 10_000)
		answer := reporting(failed)
		rpc := mino.MustCreateRPC(ofHeight(t, network, 2, 0), rpcName, answer, texts{})
		for i := range nodes {
			nodes[i] = ofHeight(t, network, 2, i+1)
			mino.MustCreateRPC(nodes[i], rpcName, answer, texts{})
		}

		out, in, err := rpc.Stream(withContext(t), playersOf(nodes...))
		require.NoError(t, err)
		requireDelivered(t, out.Send(text("hello"), addressesOf(nodes...)...))

		// The first of the five children of the root is stopped; the next is behind it.
		leaf := nodes[2].GetAddress()

		sends := make([]<-chan error, 0, 300)
		stopped := make(chan error)

		for i := range 300 {
			if i == 150 {
				go func() { stopped <- nodes[1].Stop() }()
			}

			sends = append(sends, out.Send(text(strconv.Itoa(i)), leaf))

			time.Sleep(time.Millisecond) // Virtual time.
		}

		require.NoError(t, <-stopped)

		for _, outcomes := range sends {
			requireDelivered(t, outcomes)
		}

		got := make(map[mino.Address]int)
		for range players + len(sends) {
			from, _, err := in.Recv(t.Context())
			require.NoError(t, err)

			got[session.FollowerOf(from)]++
		}

		require.Equal(t, 301, got[leaf])
		require.Empty(t, failed)
	})
}
