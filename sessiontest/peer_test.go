package sessiontest_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// withPeer runs a test in a bubble against a peer.
func withPeer(t *testing.T, peer *sessiontest.Peer, test func(t *testing.T, overlay ptypes.OverlayClient)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		n := sessiontest.NewNetwork()

		lis, err := n.Listen(server)
		require.NoError(t, err)

		stop := peer.Serve(lis)

		conn, err := grpc.NewClient("passthrough:///"+server,
			grpc.WithContextDialer(n.Dialer(client)), grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)

		test(t, ptypes.NewOverlayClient(conn))

		require.NoError(t, conn.Close())
		stop()
		require.Zero(t, n.Connections())
	})
}

func TestPeer_ZeroValueIsFriendly(t *testing.T) {
	peer := new(sessiontest.Peer)
	withPeer(t, peer, func(t *testing.T, overlay ptypes.OverlayClient) {
		stream, err := overlay.Stream(metadata.AppendToOutgoingContext(t.Context(), "streamid", "1"))
		require.NoError(t, err)
		header, err := stream.Header()
		require.NoError(t, err)
		require.NotNil(t, header)

		ack, err := overlay.Forward(t.Context(), &ptypes.Packet{Serialized: []byte("hello")})
		require.NoError(t, err)
		require.Empty(t, ack.GetErrors())
		require.Empty(t, ack.GetFailures())

		require.NoError(t, stream.CloseSend())
		_, err = stream.Recv()
		require.Equal(t, io.EOF, err)

		require.Len(t, peer.Streams(), 1)
		require.Equal(t, []string{"1"}, peer.Streams()[0].Get("streamid"))
		require.Len(t, peer.Forwards(), 1)
		require.Equal(t, "hello", string(peer.Forwards()[0].GetSerialized()))
	})
}

func TestPeer_RefusesStreams(t *testing.T) {
	peer := &sessiontest.Peer{Refuse: status.Error(codes.PermissionDenied, "no")}
	withPeer(t, peer, func(t *testing.T, overlay ptypes.OverlayClient) {
		stream, err := overlay.Stream(t.Context())
		require.NoError(t, err)
		_, err = stream.Recv()
		require.Equal(t, codes.PermissionDenied, status.Code(err))
		require.Len(t, peer.Streams(), 1)
	})
}

func TestPeer_NeverSendsTheHeader(t *testing.T) {
	withPeer(t, &sessiontest.Peer{NoHeader: true}, func(t *testing.T, overlay ptypes.OverlayClient) {
		requireTimeout(t, func(ctx context.Context) error {
			stream, err := overlay.Stream(ctx)
			require.NoError(t, err)

			header, err := stream.Header()
			require.Nil(t, header)
			require.NoError(t, err)

			_, err = stream.Recv()

			return err
		})
	})
}

func TestPeer_NeverAcks(t *testing.T) {
	withPeer(t, &sessiontest.Peer{OnForward: sessiontest.NeverAck}, func(t *testing.T, overlay ptypes.OverlayClient) {
		requireTimeout(t, func(ctx context.Context) error {
			_, err := overlay.Forward(ctx, &ptypes.Packet{})

			return err
		})
	})
}

// requireTimeout checks that a call ends with its context only.
func requireTimeout(t *testing.T, call func(context.Context) error) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()

	start := time.Now()
	require.Equal(t, codes.DeadlineExceeded, status.Code(call(ctx)))
	require.Equal(t, time.Hour, time.Since(start))
}

func TestPeer_AcksNonsense(t *testing.T) {
	peer := &sessiontest.Peer{OnForward: sessiontest.AckNonsense()}
	withPeer(t, peer, func(t *testing.T, overlay ptypes.OverlayClient) {
		for range 10 {
			ack, err := overlay.Forward(t.Context(), &ptypes.Packet{})
			require.NoError(t, err)
			require.NotZero(t, len(ack.GetErrors())+len(ack.GetFailures()))
		}
	})
}

// A node that listens and does not accept is one that never speaks: connections to
// it come up, and that is all.
func TestNetwork_ListenerWithoutAcceptNeverSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sessiontest.NewNetwork()

		_, err := n.Listen("mute:1")
		require.NoError(t, err)
		conn, err := n.Dialer(client)(t.Context(), "mute:1")
		require.NoError(t, err)
		require.Equal(t, 1, n.Connections())

		requireWrite(t, conn, "anybody there?")
		requireSilent(t, conn)

		require.NoError(t, conn.Close())
		n.Close()
		require.Zero(t, n.Connections())
	})
}
