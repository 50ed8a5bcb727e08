package minogrpc_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// broadcastTime returns how long the first broadcast takes to the children of a
// root, over links of 50 ms in each direction.
func broadcastTime(t *testing.T, children int) time.Duration {
	t.Helper()

	var took time.Duration

	synctest.Test(t, func(t *testing.T) {
		const delay = 50 * time.Millisecond

		network := sessiontest.NewNetwork()
		nodes := make([]*minogrpc.Minogrpc, children+1)
		rpc := mino.MustCreateRPC(ofHeight(t, network, 1, 0), rpcName, echo, texts{})

		for i := range nodes {
			nodes[i] = ofHeight(t, network, 1, i+1)
			mino.MustCreateRPC(nodes[i], rpcName, echo, texts{})
			network.Delay(hostOf(1), hostOf(i+1), delay)
			network.Delay(hostOf(i+1), hostOf(1), delay)
		}

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()

		out, _, err := rpc.Stream(ctx, playersOf(nodes...))
		require.NoError(t, err)

		start := time.Now()
		requireDelivered(t, out.Send(text("hello"), addressesOf(nodes[1:]...)...))
		took = time.Since(start)
	})

	return took
}

// Promise M3: the links to the children are set up side by side.
func TestFaults_FirstBroadcastDoesNotTakeLongerForMoreChildren(t *testing.T) {
	one, many := broadcastTime(t, 1), broadcastTime(t, 15)

	require.GreaterOrEqual(t, one, 100*time.Millisecond)
	require.LessOrEqual(t, many, 2*one)
}

// Promises M1, M3: a receiver that never reads costs its own node the bound of its
// queue and nobody else anything, however long a sender goes on that waits for
// nothing. The sender is told of the overflow.
func TestFaults_ReceiverThatNeverReadsIsBounded(t *testing.T) {
	const (
		queue   = 256 << 10
		size    = 32 << 10
		pause   = 2 * time.Second
		minutes = 10
	)

	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		bounds := minogrpc.WithSessionOptions(session.WithQueueLimits(1000, queue))
		release := make(chan struct{})
		deaf := handler{stream: func(mino.Sender, mino.Receiver) error {
			<-release

			return nil
		}}

		rpc := mino.MustCreateRPC(startIn(t, network, hostOf(0), bounds), rpcName, echo, texts{})
		mino.MustCreateRPC(startIn(t, network, hostOf(1), bounds), rpcName, echo, texts{})
		mino.MustCreateRPC(startIn(t, network, hostOf(2), bounds), rpcName, deaf, texts{})
		mino.MustCreateRPC(startIn(t, network, hostOf(3), bounds), rpcName, echo, texts{})

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		defer close(release)

		out, in, err := rpc.Stream(ctx, mino.NewAddresses(address(1), address(2), address(3)))
		require.NoError(t, err)

		runtime.GC()

		before := liveHeap()
		payload := text(strings.Repeat("x", size))
		outcomes := make([]<-chan error, 0, minutes*time.Minute/pause)

		for start := time.Now(); time.Since(start) < minutes*time.Minute; time.Sleep(pause) {
			outcomes = append(outcomes, out.Send(payload, address(2)))

			asked := time.Now()
			requireDelivered(t, out.Send(text("hello"), address(3)))
			_, _, err := in.Recv(ctx)
			require.NoError(t, err)
			require.Zero(t, time.Since(asked), "another pair is slowed down")
		}

		runtime.GC()
		require.Less(t, liveHeap(), before+queue+4<<20)

		delivered := 0
		for _, errs := range outcomes {
			reasons := reasonsOf(t, errs)
			if len(reasons) == 0 {
				delivered++
			} else {
				require.Equal(t, session.ReasonOverflow, reasons[address(2).String()])
			}
		}

		// Each packet costs somewhat more than its message.
		require.Equal(t, queue/(size+1), delivered)
	})
}
