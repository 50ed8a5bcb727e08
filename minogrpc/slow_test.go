package minogrpc_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
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
func slowStreams(t *testing.T, from, to *minogrpc.Minogrpc, streams, bytes int, players ...*minogrpc.Minogrpc,
) time.Duration {
	t.Helper()

	rpc := mino.MustCreateRPC(from, rpcName, handler{stream: swallow}, texts{})
	mino.MustCreateRPC(to, rpcName, handler{stream: swallow}, texts{})

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	var outcomes []<-chan error

	start := time.Now()

	for range streams {
		out, _, err := rpc.Stream(ctx, playersOf(players...))
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
			if !isOrdinaryRun() && (rate > 60_000 || streams != 20) {
				continue // The run with ordinary nodes has the whole table.
			}

			t.Run(fmt.Sprintf("%d KB/s, %d streams", rate/1000, streams), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					network := sessiontest.NewNetwork()
					from := startIn(t, network, hostOf(0), patientOptions())
					to := startIn(t, network, hostOf(1), patientOptions())

					network.Bandwidth(hostOf(0), hostOf(1), rate)
					network.Bandwidth(hostOf(1), hostOf(0), rate)

					took := slowStreams(t, from, to, streams, rate*int(slowTime/time.Second), to)
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
		if !isOrdinaryRun() && rate > 20_000 {
			continue
		}

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

// Promise L2: a link of calls has no silence, and its deadlines hold on a slow network, too.
func TestSlow_CallsAreNotLost(t *testing.T) {
	for _, rate := range []int{20_000, 400_000} {
		for _, streams := range []int{1, 20} {
			t.Run(fmt.Sprintf("%d KB/s, %d streams", rate/1000, streams), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					network := sessiontest.NewNetwork()
					from := startIn(t, network, hostOf(0), patientOptions(), minogrpc.WithoutDuplex())
					to := startIn(t, network, hostOf(1), patientOptions(), minogrpc.WithoutDuplex())

					network.Bandwidth(hostOf(0), hostOf(1), rate)
					network.Bandwidth(hostOf(1), hostOf(0), rate)

					// The root is a player on the node of the orchestrator.
					took := slowStreams(t, from, to, streams, rate*int(slowTime/time.Second), from, to)
					require.GreaterOrEqual(t, took, slowTime*9/10)
					// The format of calls is a text, which is longer by a third.
					require.LessOrEqual(t, took, slowTime*4/3*13/10)
				})
			})
		}
	}
}

// isOrdinaryRun tells whether the nodes of this run are plain, with duplex links.
func isOrdinaryRun() bool {
	return !*tlsFlag && *linksFlag == duplexLinks
}

// loopback listens.
func loopback(t *testing.T) net.Listener {
	t.Helper()

	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)

	return lis
}

// narrow passes connections on to another address, so many bytes per second in each direction
// for all of them together. It returns where it listens.
func narrow(t *testing.T, target string, rate int) string {
	t.Helper()

	lis := loopback(t)

	var (
		passing sync.WaitGroup
		ways    [2]sync.Mutex
	)

	// pass copies one direction. Whoever holds its lock has the wire.
	pass := func(way *sync.Mutex, to, from net.Conn) {
		defer func() { _, _ = to.Close(), from.Close() }()

		for piece := make([]byte, rate/100); ; {
			n, err := from.Read(piece)
			if err != nil {
				return
			}

			way.Lock()
			time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
			way.Unlock()

			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
	}

	passing.Go(func() {
		for {
			near, err := lis.Accept()
			if err != nil {
				return
			}

			far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", target)
			if err != nil {
				_ = near.Close()

				continue
			}

			// Little waits in the kernel, as on a real way.
			_ = near.(*net.TCPConn).SetReadBuffer(32 << 10)

			passing.Go(func() { pass(&ways[0], far, near) })
			passing.Go(func() { pass(&ways[1], near, far) })
		}
	})

	t.Cleanup(func() {
		require.NoError(t, lis.Close())
		passing.Wait()
	})

	return lis.Addr().String()
}

// Promise L1: the same in real time.
func TestSlow_NothingIsLostInRealTime(t *testing.T) {
	for _, tc := range []struct{ rate, streams int }{{200_000, 1}, {400_000, 20}, {1_000_000, 50}} {
		t.Run(fmt.Sprintf("%d KB/s, %d streams", tc.rate/1000, tc.streams), func(t *testing.T) {
			const seconds = 4

			lis := loopback(t)
			url, security := publicOf(t, narrow(t, lis.Addr().String(), tc.rate))
			to, err := minogrpc.NewMinogrpc(nil, url, tree.NewRouter(minogrpc.NewAddressFactory()),
				linked([]minogrpc.Option{security, minogrpc.WithListener(lis), patientOptions()})...)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, to.Stop()) })

			from := start(t, security, patientOptions())

			took := slowStreams(t, from, to, tc.streams, seconds*tc.rate, to)
			require.GreaterOrEqual(t, took, (seconds-1)*time.Second)
		})
	}
}
