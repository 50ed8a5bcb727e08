package minogrpc_test

import (
	"context"
	"errors"
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
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// far counts the dials of hosts that take some time to refuse.
type far struct {
	inner func(context.Context, string) (net.Conn, error)
	takes time.Duration

	mu                  sync.Mutex
	dialling, most, all int
}

// count adds to the number of those that are dialled, and returns an error for a dial that is over.
func (f *far) count(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.dialling += n
	f.most = max(f.most, f.dialling)
	f.all += max(n, 0)

	return errors.New("refused")
}

func (f *far) dial(ctx context.Context, target string) (net.Conn, error) {
	if !strings.HasPrefix(target, "far") {
		return f.inner(ctx, target)
	}

	_ = f.count(1)

	select {
	case <-ctx.Done():
	case <-time.After(f.takes): // Virtual time.
	}

	return nil, f.count(-1)
}

// farHost returns the address of one of those hosts.
func farHost(i int) mino.Address {
	return session.NewAddress(fmt.Sprintf("grpc://far%d:1", i))
}

// requireRefusals expects that each host has been dialled, and has refused.
func requireRefusals(t *testing.T, responses <-chan mino.Response) {
	t.Helper()

	for response := range responses {
		_, err := response.GetMessageOrError()
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("not refused: %v", err)
		}
	}
}

// Promise S5: a node sets a bounded number of links up at once, whatever for. 2,000 calls and streams
// at once wait for their turns, and each gets one.
func TestDials_OfCallsAndStreamsAreBounded(t *testing.T) {
	const (
		calls, players, streams = 20, 50, 1000
		limit                   = 384
		atOnce                  = limit - limit/8 // The rest is for links that have broken.
	)

	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		hosts := &far{inner: network.Dialer("a:1"), takes: 5 * time.Second}
		node := startIn(t, network, "grpc://a:1", minogrpc.NoTLS(),
			minogrpc.WithDialOptions(grpc.WithContextDialer(hosts.dial)))
		peer := startIn(t, network, "grpc://b:1", minogrpc.NoTLS())
		mino.MustCreateRPC(peer, rpcName, echo, texts{})
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		requireCall(t, rpc, peer)

		var wg sync.WaitGroup

		for i := range streams {
			wg.Go(func() {
				_, _, err := rpc.Stream(t.Context(), mino.NewAddresses(farHost(i)))
				if err == nil {
					t.Error("there is nobody")
				}
			})
		}

		for i := range calls {
			addrs := make([]mino.Address, players)
			for j := range addrs {
				addrs[j] = farHost(streams + i*players + j)
			}

			responses, err := rpc.Call(t.Context(), text("hello"), mino.NewAddresses(addrs...))
			require.NoError(t, err)

			wg.Go(func() { requireRefusals(t, responses) })
		}

		synctest.Wait()

		begun := time.Now()
		requireCall(t, rpc, peer) // There is a connection already.
		require.Zero(t, time.Since(begun))

		wg.Wait()

		hosts.mu.Lock()
		defer hosts.mu.Unlock()

		require.GreaterOrEqual(t, hosts.most, atOnce)
		// The end of a dial may come a moment after its turn has been given back.
		require.LessOrEqual(t, hosts.most, limit)
		require.GreaterOrEqual(t, hosts.all, streams+calls*players)
		require.Less(t, time.Since(begun), time.Minute)
	})
}

// Promise S5: who waits for a turn gives up with the context, and with the node.
func TestDials_WaitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		hosts := &far{inner: network.Dialer("a:1"), takes: time.Hour}
		node := newIn(t, network, "grpc://a:1", minogrpc.NoTLS(),
			minogrpc.WithDialOptions(grpc.WithContextDialer(hosts.dial)))
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})

		limit := make(chan error, 1000)
		for i := range cap(limit) {
			go func() {
				_, _, err := rpc.Stream(t.Context(), mino.NewAddresses(farHost(i)))
				limit <- err
			}()
		}

		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		begun := time.Now()
		responses, err := rpc.Call(ctx, text("hello"), mino.NewAddresses(session.NewAddress("grpc://far:1")))
		require.NoError(t, err)
		_, err = (<-responses).GetMessageOrError()
		require.ErrorContains(t, err, "deadline exceeded")

		_, _, err = rpc.Stream(ctx, mino.NewAddresses(session.NewAddress("grpc://far:1")))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begun))

		require.NoError(t, node.Stop())
		require.Less(t, time.Since(begun), 15*time.Second)

		for range cap(limit) {
			require.Error(t, <-limit)
		}
	})
}
