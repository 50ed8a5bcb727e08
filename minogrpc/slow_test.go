package minogrpc_test

import (
	"context"
	"fmt"
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

const (
	// slowTime is how long the network needs at least for what is sent.
	slowTime = 60 * time.Second

	// largest is the largest message of these tests.
	largest = 500_000
)

// patientOptions are those of nodes that wait for slow networks.
func patientOptions() minogrpc.Option {
	return minogrpc.WithSessionOptions(
		session.WithOutcomeTimeout(5*time.Minute),
		session.WithOutboxLimits(1_000_000, 1<<29),
	)
}

// swallow receives until the end.
func swallow(_ mino.Sender, in mino.Receiver) error {
	for {
		_, _, err := in.Recv(context.Background())
		if err != nil {
			return err
		}
	}
}

// slowStreams has several streams over one connection send so many bytes together, and waits
// for the outcomes. It returns how long that takes.
func slowStreams(t *testing.T, from, to *minogrpc.Minogrpc, streams, bytes int) time.Duration {
	t.Helper()

	rpc := mino.MustCreateRPC(from, rpcName, handler{stream: swallow}, texts{})
	mino.MustCreateRPC(to, rpcName, handler{stream: swallow}, texts{})

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	var outcomes []<-chan error

	start := time.Now()

	for range streams {
		out, _, err := rpc.Stream(ctx, playersOf(to))
		require.NoError(t, err)

		for left := bytes / streams; left > 0; left -= largest {
			payload := text(strings.Repeat("x", min(left, largest)))
			outcomes = append(outcomes, out.Send(payload, addressesOf(to)...))
		}
	}

	for i, errs := range outcomes {
		for err := range errs {
			require.NoError(t, err, "message %d of %d after %v", i+1, len(outcomes), time.Since(start))
		}
	}

	return time.Since(start)
}

// Promise L1: a slow network is neither dead nor deaf. Nothing is lost, however many streams
// share the connection, and its bandwidth is used well.
func TestSlow_NothingIsLost(t *testing.T) {
	for _, rate := range []int{20_000, 60_000, 200_000, 400_000, 1_000_000} {
		for _, streams := range []int{1, 10, 20, 50} {
			t.Run(fmt.Sprintf("%d KB/s, %d streams", rate/1000, streams), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					network := sessiontest.NewNetwork()
					from := startIn(t, network, hostOf(0), patientOptions())
					to := startIn(t, network, hostOf(1), patientOptions())

					network.Bandwidth(hostOf(0), hostOf(1), rate)
					network.Bandwidth(hostOf(1), hostOf(0), rate)

					took := slowStreams(t, from, to, streams, rate*int(slowTime/time.Second))
					require.GreaterOrEqual(t, took, slowTime*9/10)
					require.LessOrEqual(t, took, slowTime*13/10)
				})
			})
		}
	}
}

// Promise M2: a small message does not wait behind more than a second of a large one.
func TestSlow_SmallMessagesPass(t *testing.T) {
	for _, rate := range []int{20_000, 200_000, 1_000_000} {
		t.Run(fmt.Sprintf("%d KB/s", rate/1000), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := sessiontest.NewNetwork()
				from := startIn(t, network, hostOf(0), patientOptions())
				to := startIn(t, network, hostOf(1), patientOptions())

				network.Bandwidth(hostOf(0), hostOf(1), rate)
				network.Bandwidth(hostOf(1), hostOf(0), rate)

				rpc := mino.MustCreateRPC(from, rpcName, handler{stream: swallow}, texts{})
				mino.MustCreateRPC(to, rpcName, handler{stream: swallow}, texts{})

				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()

				large, _, err := rpc.Stream(ctx, playersOf(to))
				require.NoError(t, err)
				other, _, err := rpc.Stream(ctx, playersOf(to))
				require.NoError(t, err)

				outcomes := large.Send(text(strings.Repeat("x", rate*int(slowTime/time.Second))), addressesOf(to)...)

				for range 20 {
					time.Sleep(time.Second)

					start := time.Now()
					requireDelivered(t, other.Send(text("small"), addressesOf(to)...))
					require.LessOrEqual(t, time.Since(start), time.Second)
				}

				requireDelivered(t, outcomes)
			})
		})
	}
}
