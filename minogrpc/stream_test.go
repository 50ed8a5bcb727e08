package minogrpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// withContext returns a context that is cancelled before the nodes are stopped.
func withContext(t *testing.T) context.Context {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)

	return ctx
}

func TestStream_ReachesEveryPlayer(t *testing.T) {
	for name, opts := range map[string][]minogrpc.Option{"plain": {minogrpc.NoTLS()}, "TLS": nil} {
		t.Run(name, func(t *testing.T) {
			nodes, rpc := startAll(t, 15, echo, opts...)

			out, in, err := rpc.Stream(withContext(t), playersOf(nodes[1:]...))
			require.NoError(t, err)

			for range 3 {
				requireEchoes(t, out, in, nodes[1:]...)
			}
		})
	}
}

func TestStream_OrchestratorMayBeAPlayer(t *testing.T) {
	nodes, rpc := startAll(t, 5, echo)

	for first := range 2 {
		players := playersOf(nodes...).Take(mino.RangeFilter(0, len(nodes)), mino.RotateFilter(first))

		out, in, err := rpc.Stream(withContext(t), players)
		require.NoError(t, err)
		requireEchoes(t, out, in, nodes...)
	}
}

func TestStream_PlayerThatIsNamedTwiceCountsOnce(t *testing.T) {
	nodes, rpc := startAll(t, 3, echo, transport())

	out, in, err := rpc.Stream(withContext(t), playersOf(append(nodes, nodes...)...))
	require.NoError(t, err)
	requireEchoes(t, out, in, nodes...)
}

func TestStream_ChecksItsPlayers(t *testing.T) {
	_, rpc := startAll(t, 1, echo, transport())

	for name, players := range map[string]mino.Players{
		"nil":         nil,
		"empty":       mino.NewAddresses(),
		"nil address": mino.NewAddresses(nil),
		"no host":     mino.NewAddresses(session.Address{}),
	} {
		_, _, err := rpc.Stream(t.Context(), players)
		require.Error(t, err, name)
	}
}

func TestStream_SetUpThatFailsIsAnError(t *testing.T) {
	nodes, rpc := startAll(t, 1, echo, transport())
	stranger := start(t, transport())

	_, _, err := rpc.Stream(t.Context(), playersOf(stranger))
	require.ErrorContains(t, err, `unknown procedure "test"`)

	_, _, err = rpc.Stream(t.Context(), mino.NewAddresses(unreachable(t)))
	require.ErrorContains(t, err, "connection refused")

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errHandler)

	_, _, err = rpc.Stream(ctx, playersOf(nodes...))
	require.ErrorIs(t, err, errHandler)
}

// Promise L7: Recv returns the cause when the handler of the root fails.
func TestStream_FailedHandlerOfTheRootEndsIt(t *testing.T) {
	for name, stream := range map[string]func(mino.Sender, mino.Receiver) error{
		errHandler.Error():    func(mino.Sender, mino.Receiver) error { return errHandler },
		"panic: at the disco": func(mino.Sender, mino.Receiver) error { panic("at the disco") },
	} {
		nodes, rpc := startAll(t, 3, handler{stream: stream}, transport())

		_, in, err := rpc.Stream(withContext(t), playersOf(nodes[1:]...))
		require.NoError(t, err)

		_, _, err = in.Recv(t.Context())
		require.ErrorContains(t, err, name)
	}
}

// Promise L7: what the handler of the root has sent arrives before its failure.
func TestStream_FailedHandlerOfTheRootIsHeardOut(t *testing.T) {
	h := handler{stream: func(out mino.Sender, in mino.Receiver) error {
		from, msg, err := in.Recv(context.Background())
		if err != nil {
			return err
		}

		out.Send(msg, from)

		return errHandler
	}}
	nodes, rpc := startAll(t, 2, h, transport())

	out, in, err := rpc.Stream(withContext(t), playersOf(nodes[1]))
	require.NoError(t, err)
	requireEchoes(t, out, in, nodes[1])

	_, _, err = in.Recv(t.Context())
	require.ErrorContains(t, err, errHandler.Error())
}

// Promise L7: Recv returns the cause when the root is stopped.
func TestStream_StoppedRootEndsIt(t *testing.T) {
	nodes, rpc := startAll(t, 3, echo, transport())

	out, in, err := rpc.Stream(withContext(t), playersOf(nodes[1:]...))
	require.NoError(t, err)
	requireEchoes(t, out, in, nodes[1:]...)

	require.NoError(t, nodes[1].Stop())

	_, _, err = in.Recv(t.Context())
	require.ErrorContains(t, err, "the node has been stopped")
}

// Promise L7: Recv returns the cause when the connection to the root breaks.
func TestStream_LostRootEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		node, root := startIn(t, network, "n1:1"), startIn(t, network, "n2:1")
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		mino.MustCreateRPC(root, rpcName, echo, texts{})

		out, in, err := rpc.Stream(withContext(t), playersOf(root))
		require.NoError(t, err)
		requireEchoes(t, out, in, root)

		network.Cut("n1:1", "n2:1")

		_, _, err = in.Recv(t.Context())
		require.ErrorContains(t, err, "stream closed unexpectedly")
	})
}

// Promise L7: Recv returns the cause when the context ends while nothing answers,
// and a second later nothing is left of the stream.
func TestStream_ContextEndsItWhileNothingAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		var open atomic.Int32

		node, root := startIn(t, network, "n1:1",
			minogrpc.WithIdleTimeout(0),
			minogrpc.WithDialOptions(grpc.WithContextDialer(counting(network.Dialer("n1:1"), &open)))),
			startIn(t, network, "n2:1")
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		mino.MustCreateRPC(root, rpcName, echo, texts{})

		ctx, cancel := context.WithCancelCause(t.Context())
		out, in, err := rpc.Stream(ctx, playersOf(root))
		require.NoError(t, err)
		requireEchoes(t, out, in, root)
		require.EqualValues(t, 1, open.Load())

		network.Freeze("n2:1", "n1:1")
		t.Cleanup(func() { network.Heal("n1:1", "n2:1") })

		outcomes := out.Send(text("into the void"), root.GetAddress())
		time.AfterFunc(5*time.Second, func() { cancel(errHandler) })

		begin := time.Now()
		_, _, err = in.Recv(t.Context())
		require.ErrorIs(t, err, errHandler)
		require.Equal(t, 5*time.Second, time.Since(begin))

		for err := range outcomes {
			require.Error(t, err)
		}

		time.Sleep(2 * time.Second)
		require.Zero(t, open.Load())
	})
}

func TestStream_ContextEndsTheSetUpWhileNothingAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		node, root := startIn(t, network, "n1:1"), startIn(t, network, "n2:1")
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		mino.MustCreateRPC(root, rpcName, echo, texts{})

		// There is a connection, which is the harder case: it only looks alive.
		requireCall(t, rpc, root)
		network.Freeze("n2:1", "n1:1")
		t.Cleanup(func() { network.Heal("n1:1", "n2:1") })

		begin := time.Now()
		_, _, err := rpc.Stream(t.Context(), playersOf(root))
		require.ErrorContains(t, err, "did not answer in time")
		require.Equal(t, session.DefaultSetupTimeout, time.Since(begin))

		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errHandler)
		defer cancel()

		begin = time.Now()
		_, _, err = rpc.Stream(ctx, playersOf(root))
		require.ErrorIs(t, err, errHandler)
		require.Equal(t, time.Second, time.Since(begin))
	})
}

// Promise L8: the end of a handler is not the end of its node.
func TestStream_NodeRelaysAfterItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		node, child := startIn(t, network, "n1:1"), startIn(t, network, "n2:1")
		root := startIn(t, network, "n3:1")
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		mino.MustCreateRPC(child, rpcName, echo, texts{})
		mino.MustCreateRPC(root, rpcName, handler{stream: func(mino.Sender, mino.Receiver) error {
			return nil
		}}, texts{})

		out, in, err := rpc.Stream(withContext(t), playersOf(root, child, node))
		require.NoError(t, err)
		synctest.Wait()

		requireEchoes(t, out, in, child, node)
		require.ErrorContains(t, closedReason(t, out, root), "is closing")
		requireEchoes(t, out, in, child, node)
	})
}

// Promise L8: a handler that fails elsewhere than at the root ends nothing.
func TestStream_FailedHandlerOfAnotherPlayerEndsNothing(t *testing.T) {
	nodes, rpc := startAll(t, 3, echo, transport())
	failed := make(chan struct{})
	child := start(t, transport())
	mino.MustCreateRPC(child, rpcName, handler{stream: func(_ mino.Sender, in mino.Receiver) error {
		defer close(failed)

		_, _, err := in.Recv(context.Background())

		return errors.Join(errHandler, err)
	}}, texts{})

	out, in, err := rpc.Stream(withContext(t), playersOf(nodes[1], child, nodes[2]))
	require.NoError(t, err)
	requireDelivered(t, out.Send(text("fail"), child.GetAddress()))
	<-failed
	requireEchoes(t, out, in, nodes[1:]...)
}

// Promise L6: the end of the stream is a clean one for the handlers.
func TestStream_EndIsEOFForTheHandlers(t *testing.T) {
	ends := make(chan error, 5)
	h := handler{stream: func(out mino.Sender, in mino.Receiver) error {
		err := echo.stream(out, in)
		ends <- err

		return err
	}}
	nodes, rpc := startAll(t, 5, h, transport())

	ctx, cancel := context.WithCancelCause(t.Context())
	out, in, err := rpc.Stream(ctx, playersOf(nodes...))
	require.NoError(t, err)
	requireEchoes(t, out, in, nodes...)

	cancel(errHandler)

	for range nodes {
		require.NoError(t, <-ends)
	}

	_, _, err = in.Recv(t.Context())
	require.ErrorIs(t, err, errHandler)
	require.ErrorIs(t, closedReason(t, out, nodes[1]), session.ErrClosed)
}

// closedReason returns the error of a Send that must fail.
func closedReason(t *testing.T, out mino.Sender, node *minogrpc.Minogrpc) error {
	t.Helper()

	var delivery *session.DeliveryError

	require.ErrorAs(t, <-out.Send(text("too late"), node.GetAddress()), &delivery)
	require.Equal(t, session.ReasonClosed, delivery.Reason)

	return delivery
}

// Promise L6: nothing is left of streams that have ended, however they did.
func TestStream_EndReleasesEverything(t *testing.T) {
	var open atomic.Int32

	dialer := counting(func(ctx context.Context, target string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", target)
	}, &open)

	h := handler{stream: func(out mino.Sender, in mino.Receiver) error {
		from, msg, err := in.Recv(context.Background())
		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil || msg == text("fail") {
			return errors.Join(errHandler, err)
		}

		out.Send(msg, from)

		return nil
	}}
	nodes, rpc := startAll(t, 4, h, transport(), minogrpc.WithIdleTimeout(0),
		minogrpc.WithDialOptions(grpc.WithContextDialer(dialer)))

	for i := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		out, in, err := rpc.Stream(ctx, playersOf(nodes...))
		require.NoError(t, err)

		switch i % 4 {
		case 0: // nobody hears of it
		case 1:
			requireEchoes(t, out, in, nodes...)
		case 2: // unread packets and outcomes
			out.Send(text("hello"), addressesOf(nodes...)...)
		case 3:
			out.Send(text("fail"), nodes[0].GetAddress())
			_, _, err = in.Recv(t.Context())
			require.ErrorContains(t, err, errHandler.Error())
		}

		cancel()
	}

	require.Eventually(t, func() bool { return open.Load() == 0 }, 10*time.Second, time.Millisecond)
}

// Promise L7: why the stream has ended is the cause also in the outcomes of what is sent after it, and
// of what was pending at it.
func TestStream_EndOfTheRootIsTheCauseOfOutcomes(t *testing.T) {
	t.Run("failed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fail := make(chan struct{})
			h := handler{stream: func(mino.Sender, mino.Receiver) error {
				<-fail

				return errHandler
			}}
			requireCauseInOutcomes(t, h, errHandler.Error(), func(*minogrpc.Minogrpc) { close(fail) })
		})
	})
	t.Run("stopped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			requireCauseInOutcomes(t, echo, "the node has been stopped", func(root *minogrpc.Minogrpc) {
				require.NoError(t, root.Stop())
			})
		})
	})
}

// requireCauseInOutcomes sends to a frozen player, by a root that then ends, and to all after that.
func requireCauseInOutcomes(t *testing.T, h mino.Handler, cause string, end func(root *minogrpc.Minogrpc)) {
	t.Helper()

	network := sessiontest.NewNetwork()
	t.Cleanup(network.Close)

	node, root, child := startIn(t, network, "n1:1"), startIn(t, network, "n2:1"), startIn(t, network, "n3:1")
	rpc := mino.MustCreateRPC(node, rpcName, h, texts{})
	mino.MustCreateRPC(root, rpcName, h, texts{})
	mino.MustCreateRPC(child, rpcName, h, texts{})

	out, in, err := rpc.Stream(withContext(t), playersOf(root, child))
	require.NoError(t, err)
	requireDelivered(t, out.Send(text("hello"), root.GetAddress(), child.GetAddress()))

	network.Freeze("n2:1", "n3:1")
	t.Cleanup(func() { network.Heal("n2:1", "n3:1") })

	pending := out.Send(text("pending"), child.GetAddress())

	synctest.Wait()
	end(root)

	failed := 0

	for err := range pending {
		require.ErrorContains(t, err, cause)

		failed++
	}

	require.Equal(t, 1, failed)

	for err = nil; err == nil; {
		_, _, err = in.Recv(t.Context())
	}

	require.ErrorContains(t, err, cause)

	for _, to := range []*minogrpc.Minogrpc{root, child} {
		delivery := closedReason(t, out, to)
		require.ErrorIs(t, delivery, session.ErrClosed)
		require.ErrorContains(t, delivery, cause)
	}
}
