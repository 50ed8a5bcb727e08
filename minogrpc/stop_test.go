package minogrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// serve runs a bare server on loopback until the test ends.
func serve(t *testing.T, overlay ptypes.OverlayServer) mino.Address {
	t.Helper()

	listener := listen(t)

	server := grpc.NewServer()
	ptypes.RegisterOverlayServer(server, overlay)

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	t.Cleanup(func() {
		server.Stop()
		require.NoError(t, <-served)
	})

	addr, err := session.NewAddressFromURL(url.URL{Scheme: "grpc", Host: listener.Addr().String()})
	require.NoError(t, err)

	return addr
}

// sleepyNodes are two nodes on a network in memory. The handler of the second
// takes some time for an answer.
func sleepyNodes(t *testing.T, d time.Duration) (node, peer *minogrpc.Minogrpc, rpc mino.RPC) {
	t.Helper()

	network := sessiontest.NewNetwork()
	t.Cleanup(network.Close)

	node, peer = startIn(t, network, "n1:1"), startIn(t, network, "n2:1")
	rpc = mino.MustCreateRPC(node, rpcName, echo, texts{})
	mino.MustCreateRPC(peer, rpcName, handler{
		process: func(req mino.Request) (serde.Message, error) {
			time.Sleep(d)

			return req.Message, nil
		},
		stream: echo.stream,
	}, texts{})

	return node, peer, rpc
}

func TestStop_IsIdempotent(t *testing.T) {
	nodes, rpc := startAll(t, 3, echo, transport())

	out, in, err := rpc.Stream(t.Context(), playersOf(nodes...))
	require.NoError(t, err)
	requireEchoes(t, out, in, nodes...)

	var wg sync.WaitGroup

	for _, node := range nodes {
		for _, stop := range []func() error{node.Stop, node.GracefulStop, node.Stop} {
			wg.Go(func() {
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		}
	}

	wg.Wait()
	require.NoError(t, nodes[0].GracefulStop())
}

func TestStop_EndsTheStreamsThatTheNodeHasOpened(t *testing.T) {
	for name, stop := range map[string]func(*minogrpc.Minogrpc) error{
		"Stop":         (*minogrpc.Minogrpc).Stop,
		"GracefulStop": (*minogrpc.Minogrpc).GracefulStop,
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 2)
			h := handler{stream: func(out mino.Sender, in mino.Receiver) error {
				err := echo.stream(out, in)
				ended <- err

				return err
			}}
			nodes, rpc := startAll(t, 3, h, transport())

			out, in, err := rpc.Stream(t.Context(), playersOf(nodes[1:]...))
			require.NoError(t, err)
			requireEchoes(t, out, in, nodes[1:]...)
			require.NoError(t, stop(nodes[0]))

			_, _, err = in.Recv(t.Context())
			require.ErrorContains(t, err, "the node has been stopped")
			require.NoError(t, <-ended)
			require.NoError(t, <-ended)
		})
	}
}

func TestStop_NodeTakesNothingMore(t *testing.T) {
	nodes, rpc := startAll(t, 1, echo, transport())
	require.NoError(t, nodes[0].Stop())

	_, err := rpc.Call(t.Context(), text("hello"), playersOf(nodes...))
	require.ErrorContains(t, err, "stopped")
	_, _, err = rpc.Stream(t.Context(), playersOf(nodes...))
	require.Error(t, err)
}

func TestGracefulStop_LetsACallEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, peer, rpc := sleepyNodes(t, 8*time.Second)

		responses, err := rpc.Call(t.Context(), text("hello"), playersOf(peer))
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, peer.GracefulStop())

		msg, err := (<-responses).GetMessageOrError()
		require.NoError(t, err)
		require.Equal(t, text("hello"), msg)
	})
}

func TestGracefulStop_LetsACallOfTheNodeEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, peer, rpc := sleepyNodes(t, 8*time.Second)

		responses, err := rpc.Call(t.Context(), text("hello"), playersOf(peer))
		require.NoError(t, err)
		require.NoError(t, node.GracefulStop())

		_, err = (<-responses).GetMessageOrError()
		require.NoError(t, err)
	})
}

func TestStop_CutsACallShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, peer, rpc := sleepyNodes(t, time.Minute)

		responses, err := rpc.Call(t.Context(), text("hello"), playersOf(peer))
		require.NoError(t, err)

		begin := time.Now()
		require.NoError(t, node.Stop())
		require.Equal(t, 2*time.Second, time.Since(begin))

		_, err = (<-responses).GetMessageOrError()
		require.Error(t, err)

		time.Sleep(time.Minute)
	})
}

func TestStop_HurriesAGracefulStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, peer, rpc := sleepyNodes(t, time.Minute)

		_, err := rpc.Call(t.Context(), text("hello"), playersOf(peer))
		require.NoError(t, err)

		begin := time.Now()

		var wg sync.WaitGroup

		wg.Go(func() { _ = node.GracefulStop() })
		time.Sleep(time.Second)
		require.NoError(t, node.Stop())
		wg.Wait()
		require.Equal(t, 3*time.Second, time.Since(begin))

		time.Sleep(time.Minute)
	})
}

func TestStop_TellsOfAHandlerThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		release := make(chan struct{})
		entered := make(chan struct{})
		node, peer := startIn(t, network, "n1:1"), newIn(t, network, "n2:1")
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		mino.MustCreateRPC(peer, rpcName, handler{stream: func(mino.Sender, mino.Receiver) error {
			close(entered)
			<-release

			return nil
		}}, texts{})

		_, in, err := rpc.Stream(t.Context(), playersOf(peer))
		require.NoError(t, err)
		<-entered

		begin := time.Now()
		err = peer.Stop()
		require.LessOrEqual(t, time.Since(begin), 4*time.Second)

		running, ok := errors.AsType[*host.RunningError](err)
		require.True(t, ok, err)
		require.Len(t, running.Oldest, 1)
		require.NotEmpty(t, running.Oldest[0].Stream)
		require.EqualError(t, err, fmt.Sprintf("1 task of the node has not ended: handler of %q in stream %q for 3s",
			rpcName, running.Oldest[0].Stream))

		_, _, err = in.Recv(context.Background())
		require.ErrorContains(t, err, "the node has been stopped")
		close(release)
	})
}

// Promise L3: a stop says what it leaves behind, also of calls. gRPC does not wait for their handlers.
func TestStop_TellsOfACallThatDoesNotEnd(t *testing.T) {
	for _, tc := range []struct {
		name, age string
		stop      func(*minogrpc.Minogrpc) error
	}{
		{"Stop", "8s", (*minogrpc.Minogrpc).Stop}, // 5, 2 for what is in progress, and 1 to notice.
		{"GracefulStop", "16s", (*minogrpc.Minogrpc).GracefulStop},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := sessiontest.NewNetwork()
				t.Cleanup(network.Close)

				release := make(chan struct{})
				node, peer := startIn(t, network, "n1:1"), newIn(t, network, "n2:1")
				rpc := mino.MustCreateRPC(node.WithSegment("seg"), rpcName, echo, texts{})
				sleeps := handler{process: func(mino.Request) (serde.Message, error) {
					<-release

					return nil, nil
				}}
				mino.MustCreateRPC(peer.WithSegment("seg"), rpcName, sleeps, texts{})

				_, err := rpc.Call(t.Context(), text("hello"), playersOf(peer))
				require.NoError(t, err)
				time.Sleep(5 * time.Second)

				err = tc.stop(peer)
				require.EqualError(t, err, `1 task of the node has not ended: call handler of "seg/test" for `+tc.age)
				close(release)
			})
		})
	}
}

func TestStop_EndsASetUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		node, root := startIn(t, network, "n1:1"), startIn(t, network, "n2:1")
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		network.Freeze("n2:1", "n1:1")
		t.Cleanup(func() { network.Heal("n1:1", "n2:1") })

		time.AfterFunc(time.Second, func() {
			if err := node.Stop(); err != nil {
				t.Error(err)
			}
		})

		_, _, err := rpc.Stream(t.Context(), playersOf(root))
		require.ErrorContains(t, err, "the node has been stopped")
	})
}
