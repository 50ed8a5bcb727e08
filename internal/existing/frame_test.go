package existing_test

import (
	"testing"

	"github.com/minogrpc/session/internal/existing"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// A root takes any packet over the stream of its parent for the end of that, and sends no
// header keys of its own.
func TestStream_PacketFromTheParentEndsIt(t *testing.T) {
	nodes := start(t, 1, func(int) existing.Config { return existing.Config{} })

	ended := make(chan struct{})
	nodes[0].Handle(uri, existing.Handler{Stream: func(s *existing.Session) error {
		<-s.Done()
		close(ended)

		return nil
	}})

	conn, err := grpc.NewClient(nodes[0].Address().Host(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)

	t.Cleanup(func() { require.NoError(t, conn.Close()) })

	ctx := metadata.AppendToOutgoingContext(t.Context(), "apiuri", uri, "streamid", "one", "gateway", "FAh:1")

	stream, err := ptypes.NewOverlayClient(conn).Stream(ctx)
	require.NoError(t, err)

	header, err := stream.Header()
	require.NoError(t, err)
	require.NotNil(t, header)
	require.Empty(t, header.Get("session-link"))

	require.NoError(t, stream.Send(&ptypes.Packet{}))
	<-ended
	require.Len(t, nodes[0].Oddities(), 1)
}
