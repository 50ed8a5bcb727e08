package minogrpc_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// ending is a handler that tells when and how its stream has ended.
type ending struct {
	mino.UnsupportedHandler

	ended chan error
}

func (e ending) Stream(_ mino.Sender, in mino.Receiver) error {
	_, _, err := in.Recv(context.Background())
	e.ended <- err

	return err
}

// Promise L9: when an existing parent cancels its stream, the stream ends at once; when its
// connection breaks, it ends after the second in which another parent might have come. Both are
// Canceled for gRPC, and io.EOF for the handler.
func TestExistingParent_CancelIsToldFromALoss(t *testing.T) {
	for name, test := range map[string]struct {
		lose bool
		wait time.Duration
	}{"cancel": {false, 0}, "loss": {true, time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := sessiontest.NewNetwork()
				defer network.Close()

				handler := ending{ended: make(chan error, 1)}
				node := newIn(t, network, "grpc://n1:1")
				mino.MustCreateRPC(node, rpcName, handler, texts{})

				conn, err := grpc.NewClient("passthrough:///n1:1", grpc.WithContextDialer(network.Dialer("p:1")),
					grpc.WithTransportCredentials(insecure.NewCredentials()))
				require.NoError(t, err)

				md := header("gateway", "FAp:1", "handshake", leaf)
				ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(t.Context(), md))
				stream, err := ptypes.NewOverlayClient(conn).Stream(ctx)
				require.NoError(t, err)

				accepted, err := stream.Header()
				require.NoError(t, err)
				require.NotNil(t, accepted)

				start := time.Now()

				if test.lose {
					require.NoError(t, conn.Close())
				} else {
					cancel()
				}

				require.ErrorIs(t, <-handler.ended, io.EOF)
				require.InDelta(t, test.wait, time.Since(start), float64(10*time.Millisecond))

				cancel()
				_ = conn.Close()
				require.NoError(t, node.Stop())
			})
		})
	}
}
