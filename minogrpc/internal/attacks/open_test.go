//go:build linux

package attacks_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// Promise S4: without TLS nobody is in a cell. Headers are bounded all the same, by the memory of the
// node.
func TestOpen_Headers(t *testing.T) {
	const memory = 64 * mib

	w := newWorld(t, setup{NoTLS: true, Memory: memory})
	a := attacker{target: w.target()}

	for _, c := range []struct {
		name string
		do   func(ctx context.Context, host string) error
	}{
		{"that never end", endless(a)},
		{"of calls that wait for their messages", calls(a, 4000, references(15<<10))},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.withstands(t, sized(memory*5/2+64*mib), func(ctx context.Context) { w.every(ctx, 64, 8, c.do) })
		})
	}
}

// Promise S4: a thousand nodes of an existing network, which prove nothing, are served at the same
// time, also where all of them are on one machine. So is the stream of all of them.
func TestOpen_ThousandNodesAreServed(t *testing.T) {
	const nodes = 1000

	w := newWorld(t, setup{NoTLS: true})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "apiuri", procedure, "streamid", "a stream")

	var (
		wg    sync.WaitGroup
		conns [nodes]*grpc.ClientConn
	)

	for i := range nodes {
		conn, err := grpc.NewClient(w.target(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, conn.Close()) })

		conns[i] = conn

		wg.Go(func() {
			question := &ptypes.Message{From: fmt.Appendf(nil, "FAnode:%d", i+1), Payload: []byte("question")}
			answer, err := ptypes.NewOverlayClient(conn).Call(ctx, question)

			if err != nil || string(answer.GetPayload()) != "question" {
				t.Errorf("node %d: %v", i, err)
			}
		})
	}

	wg.Wait()

	md, _ := metadata.FromOutgoingContext(ctx)
	md.Set("gateway", "FAnode:1")

	for i := range nodes {
		md.Append("addr", fmt.Sprintf("FAnode:%d", i+1))
	}

	stream, err := ptypes.NewOverlayClient(conns[0]).Stream(metadata.NewOutgoingContext(t.Context(), md))
	require.NoError(t, err)

	header, err := stream.Header()
	require.NoError(t, err)
	require.NotNil(t, header)
	require.NoError(t, stream.CloseSend())
}

// Promise S4: a node joins within 10 seconds while 8 hosts hold all the connections that there are for
// strangers, and more of them try all the time.
func TestStrangers_KeepNobodyFromJoining(t *testing.T) {
	w := newWorld(t, setup{})
	a := w.stranger(t)

	w.withstands(t, bounds{memory: strangersBound}, func(ctx context.Context) {
		var wg sync.WaitGroup

		wg.Go(func() {
			w.every(ctx, 8*40, 8, func(ctx context.Context, host string) error {
				_, err := a.connect(ctx, host)

				return err
			})
		})

		wait(ctx, *flood/2)

		node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil,
			tree.NewRouter(minogrpc.NewAddressFactory()))
		if err != nil {
			t.Error(err)

			return
		}

		begun := time.Now()

		if err = w.join(node); err != nil || time.Since(begun) > 10*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}

		t.Logf("joined in %v", time.Since(begun))
		wg.Wait()

		if err = node.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// join lets a node join at the victim.
func (w *world) join(node *minogrpc.Minogrpc) error {
	digest, err := w.store.Hash(w.id.Chain)
	if err != nil {
		return err
	}

	target, err := urlOf(w.address().(session.Address))
	if err != nil {
		return err
	}

	return node.Join(target, w.token, digest)
}
