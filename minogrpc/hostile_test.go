package minogrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	victim   = "n1:1"
	attacker = "evil:1"
)

// dialIn returns a bare client of the victim on a network in memory, and the
// connection to close.
func dialIn(t *testing.T, network *sessiontest.Network) (ptypes.OverlayClient, io.Closer) {
	t.Helper()

	conn, err := grpc.NewClient("passthrough:///"+victim,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(network.Dialer(attacker)))
	require.NoError(t, err)

	return ptypes.NewOverlayClient(conn), conn
}

// attacked is a node that is alone on a network in memory, with a procedure that
// counts its handlers.
type attacked struct {
	network  *sessiontest.Network
	node     *minogrpc.Minogrpc
	rpc      mino.RPC
	handlers atomic.Int32
	conns    atomic.Int32
}

func newAttacked(t *testing.T, opts ...minogrpc.Option) *attacked {
	t.Helper()

	a := &attacked{network: sessiontest.NewNetwork()}
	t.Cleanup(a.network.Close)

	dialer := counting(a.network.Dialer(victim), &a.conns)
	opts = append(opts, minogrpc.WithIdleTimeout(0), minogrpc.WithDialOptions(grpc.WithContextDialer(dialer)))

	a.node = startIn(t, a.network, "grpc://"+victim, opts...)
	a.rpc = mino.MustCreateRPC(a.node, rpcName, handler{
		process: echo.process,
		stream: func(out mino.Sender, in mino.Receiver) error {
			a.handlers.Add(1)
			defer a.handlers.Add(-1)

			return echo.stream(out, in)
		},
	}, texts{})

	return a
}

// requireServing checks that the node does its work for the others.
func (a *attacked) requireServing(t *testing.T) {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	requireCall(t, a.rpc, a.node)

	out, in, err := a.rpc.Stream(ctx, playersOf(a.node))
	require.NoError(t, err)
	requireEchoes(t, out, in, a.node)
}

// goroutines returns how many there are in the bubble when all that is going on
// has ended.
func goroutines() int {
	synctest.Wait()
	time.Sleep(time.Minute) // Virtual time, longer than anything may wait.
	synctest.Wait()

	var stacks strings.Builder

	// The count of the runtime has those of the test binary itself.
	_ = pprof.Lookup("goroutine").WriteTo(&stacks, 2)

	return strings.Count(stacks.String(), ", synctest bubble ")
}

// requireNothingLeft checks what a visit has left at the node.
func (a *attacked) requireNothingLeft(t *testing.T, before int) {
	t.Helper()

	require.NotZero(t, before)
	require.Equal(t, before, goroutines())
	require.Zero(t, a.handlers.Load())
	require.Zero(t, a.conns.Load())
	a.requireServing(t)
}

// Promise S3: calls with a bad gateway are refused and leave nothing.
func TestHostile_BadGatewaysLeaveNothing(t *testing.T) {
	gateways := []string{
		"", "F", "FA", "FB", "FZh:1", "\x7f", "O", "OA", "OZ127.0.0.1:1", "FDh:1", "FCno port", "FB\tx",
	}

	synctest.Test(t, func(t *testing.T) {
		a := newAttacked(t)
		before := goroutines()
		client, conn := dialIn(t, a.network)

		for i := range 1000 {
			md := streamID(i, "gateway", gateways[i%len(gateways)])
			if i%2 == 0 {
				md.Set("handshake", leaf)
			}

			stream, err := client.Stream(metadata.NewOutgoingContext(t.Context(), md))
			if err == nil {
				_, err = stream.Recv()
			}

			require.Contains(t, []codes.Code{codes.InvalidArgument, codes.FailedPrecondition, codes.Internal},
				status.Code(err), "%v", err)

			_, err = client.Forward(metadata.NewOutgoingContext(t.Context(), md), &ptypes.Packet{})
			require.Error(t, err)
		}

		require.NoError(t, conn.Close())
		a.requireNothingLeft(t, before)
	})
}

// Promise S3: streams that somebody has begun to open, in whatever way, and then
// goes away, leave nothing.
func TestHostile_HalfOpenedStreamsLeaveNothing(t *testing.T) {
	// What the opener promises decides how long the session waits for another one.
	kinds := []metadata.MD{
		{},
		{"handshake": {leaf}},
		{"handshake": {leaf}, link: {"goodbye"}},
		{"handshake": {`{"Height":1,"Addresses":["RkFoOjE="]}`}, link: {"goodbye"}},
	}

	for name, leave := range map[string]func(*sessiontest.Network, io.Closer, context.CancelFunc) error{
		"cut": func(network *sessiontest.Network, conn io.Closer, _ context.CancelFunc) error {
			network.Cut(victim, attacker)

			return conn.Close()
		},
		"cancelled": func(_ *sessiontest.Network, conn io.Closer, cancel context.CancelFunc) error {
			cancel()
			synctest.Wait()

			return conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAttacked(t)
				before := goroutines()
				client, conn := dialIn(t, a.network)

				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()

				for i := range 1000 {
					md := metadata.Join(streamID(i), kinds[i%len(kinds)])

					_, err := client.Stream(metadata.NewOutgoingContext(ctx, md))
					require.NoError(t, err)
				}

				synctest.Wait()
				require.NotZero(t, a.handlers.Load())
				require.NoError(t, leave(a.network, conn, cancel))
				a.network.Heal(victim, attacker)
				a.requireNothingLeft(t, before)
			})
		})
	}
}

// Promise S3: one peer with more streams than it may have does not keep the others
// out.
func TestHostile_GreedyPeerCostsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttacked(t, minogrpc.WithStreamLimits(10, 20))
		before := goroutines()
		client, conn := dialIn(t, a.network)

		var refused int

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()

		for i := range 1000 {
			md := streamID(i, "gateway", fmt.Sprintf("FAh:%d", i%50+1))

			stream, err := client.Stream(metadata.NewOutgoingContext(ctx, md))
			require.NoError(t, err)

			accepted, err := stream.Header()
			require.NoError(t, err)

			if accepted == nil {
				refused++
			}
		}

		require.Equal(t, 980, refused)
		require.EqualValues(t, 20, a.handlers.Load())
		a.requireServing(t)
		require.NoError(t, conn.Close())
		a.requireNothingLeft(t, before)
	})
}

// silent is how many connections are silent at once.
const silent = 100

// silence opens connections to the victim that say what is given and then nothing.
// It returns how many of them are still open.
func silence(t *testing.T, network *sessiontest.Network, words string) func() int {
	t.Helper()

	conns := make([]net.Conn, silent)

	for i := range conns {
		conn, err := network.Dialer(attacker)(t.Context(), victim)
		require.NoError(t, err)

		// It fails where the connection is refused already.
		_, _ = conn.Write([]byte(words))
		t.Cleanup(func() { _ = conn.Close() })

		conns[i] = conn
	}

	return func() int {
		open := 0

		for _, conn := range conns {
			_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))

			_, err := io.Copy(io.Discard, conn)

			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				open++
			}
		}

		return open
	}
}

// Promise R3: connections on which nobody speaks do not delay a stop, and do not
// stay.
func TestHostile_SilentConnections(t *testing.T) {
	for name, words := range map[string]string{
		"nothing":                "",
		"half a preface":         "PRI * HTTP/2.0\r\n",
		"preface, no settings":   "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"no preface but garbage": "GET / HTTP/1.1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newAttacked(t)
				before := goroutines()
				open := silence(t, a.network, words)
				a.requireServing(t)

				time.Sleep(15 * time.Second) // Virtual time.
				require.Zero(t, open())
				a.requireNothingLeft(t, before)

				silence(t, a.network, words)
				synctest.Wait()

				begin := time.Now()
				require.NoError(t, a.node.Stop())
				require.Zero(t, time.Since(begin))
			})
		})
	}
}

// Promise S3: one host has a bounded number of connections in their handshake, and
// of connections.
func TestHostile_ConnectionsOfAHostAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttacked(t, minogrpc.WithPendingLimit(10))
		require.Equal(t, 10, silence(t, a.network, "")())
		a.requireServing(t)
	})

	synctest.Test(t, func(t *testing.T) {
		a := newAttacked(t, minogrpc.WithStreamLimits(10, 20))
		require.Equal(t, 20, silence(t, a.network, "")())
		a.requireServing(t)
	})
}

// Promise S3: connections that have ended do not count.
func TestHostile_ConnectionsThatHaveEndedAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAttacked(t, minogrpc.WithStreamLimits(2, 2), minogrpc.WithPendingLimit(1))

		for range 10 {
			client, conn := dialIn(t, a.network)
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("apiuri", rpcName))
			_, err := client.Call(ctx, &ptypes.Message{From: []byte(peerText)})
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			synctest.Wait()
		}
	})
}
