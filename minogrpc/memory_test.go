package minogrpc_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/stretchr/testify/require"
)

// liveHeap returns what the last collection of garbage has left, in bytes.
func liveHeap() int {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)

	return int(sample[0].Value.Uint64())
}

// peakHeap returns the most that is alive at any time while the function runs, and
// was not before it. It looks as often as the heap grows by a little.
func peakHeap(fn func()) int {
	defer debug.SetGCPercent(debug.SetGCPercent(5))

	runtime.GC()

	before, most := liveHeap(), 0
	done := make(chan struct{}, 1)

	var wg sync.WaitGroup

	wg.Go(func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()

		for len(done) == 0 {
			<-ticker.C

			most = max(most, liveHeap())
		}
	})

	fn()
	done <- struct{}{}
	wg.Wait()

	return most - before
}

// maxPeak is how many times a message may be in memory at once, on all the three
// nodes together, that of the sender not counted. One copy is the sender's own
// and one is with the root, for another route; the rest are the packet, which is a
// third larger than its message, on its way into gRPC and out of it.
const maxPeak = 6

// Promise S3: a message of the largest size takes a bounded multiple of it, with
// all the three nodes in one process. The next larger one is refused.
func TestMemory_LargestMessageOverTwoHops(t *testing.T) {
	sizes := make(chan int, 1)
	h := handler{stream: func(_ mino.Sender, in mino.Receiver) error {
		for {
			_, msg, err := in.Recv(context.Background())
			if err != nil {
				return err
			}

			sizes <- len(msg.(text))
		}
	}}
	nodes, rpc := startAll(t, 3, h, minogrpc.NoTLS(), minogrpc.WithMaxMessageSize(largestMessage),
		minogrpc.WithSessionOptions(session.WithOutcomeTimeout(10*time.Minute)))

	out, _, err := rpc.Stream(withContext(t), playersOf(nodes[1:]...))
	require.NoError(t, err)

	leaf := nodes[2].GetAddress()
	requireDelivered(t, out.Send(text("x"), leaf))
	require.Equal(t, 1, <-sizes)

	var failure *session.DeliveryError

	largest := text(strings.Repeat("x", largestMessage))
	require.ErrorAs(t, <-out.Send(largest+"x", leaf), &failure)
	require.Equal(t, session.ReasonRejected, failure.Reason)

	peak := peakHeap(func() { requireDelivered(t, out.Send(largest, leaf)) })
	require.Equal(t, largestMessage, <-sizes)
	require.LessOrEqual(t, float64(peak)/largestMessage, float64(maxPeak))
}
