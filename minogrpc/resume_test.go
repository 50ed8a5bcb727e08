package minogrpc_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// offerOf returns the offer of one duplex link, for its stream of that number.
func offerOf(epoch int) string {
	return "duplex-1;id=00112233445566778899aabbccddeeff;received=0;frame=65536;epoch=" + strconv.Itoa(epoch)
}

// Promise L8: nobody gets a new handler by going on with a link that is not known, also
// not of a node that has no such links any more.
func TestServer_RefusesToResumeAnUnknownLink(t *testing.T) {
	nodes, _ := startAll(t, 1, echo, minogrpc.NoTLS())
	client := dial(t, nodes[0])

	_, err := openStream(t, client, header("streamid", "a", link, offerOf(2), "handshake", leaf)).Recv()
	require.Equal(t, codes.FailedPrecondition, status.Code(err))

	// Nor of a stream that is there.
	requireOpen(t, openStream(t, client, header("streamid", "b", "handshake", leaf)))

	_, err = openStream(t, client, header("streamid", "b", link, offerOf(2), "handshake", leaf)).Recv()
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
}

// Promise L8: who only pretends to be the orchestrator that goes on with its link does not
// make the handler of another player that of the root, whose failure ends the stream.
func TestServer_PretendedResumeMakesNoRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		fail := make(chan struct{})
		node := startIn(t, network, "grpc://"+victim)
		mino.MustCreateRPC(node, rpcName, handler{stream: func(mino.Sender, mino.Receiver) error {
			<-fail

			return errHandler
		}}, texts{})

		client, conn := dialIn(t, network)
		t.Cleanup(func() { require.NoError(t, conn.Close()) })

		toNode := &ptypes.Packet{Serialized: []byte(`{"Source":"RkFoOjE=","Dest":["RkFuMTox"],"Message":"aGk="}`)}
		parent := openStream(t, client, header("handshake", leaf))
		requireOpen(t, parent)

		_, err := openStream(t, client, header(link, offerOf(2))).Recv()
		require.Equal(t, codes.FailedPrecondition, status.Code(err))

		close(fail)
		synctest.Wait()

		// The node is there, and its handler is not.
		ack, err := client.Forward(metadata.NewOutgoingContext(t.Context(), header()), toNode)
		require.NoError(t, err)
		require.Len(t, ack.GetFailures(), 1)
		require.Equal(t, ptypes.Reason_REASON_CLOSED, ack.GetFailures()[0].GetReason())
	})
}

// Promises L5, S3: who has as many streams as it may can go on with a link that has
// broken, and gets no more streams by that.
func TestLimits_BrokenStreamLeavesRoomForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		node := startIn(t, network, "grpc://"+victim, minogrpc.WithStreamLimits(1, 1), minogrpc.WithMaxMetadata(300))
		mino.MustCreateRPC(node, rpcName, echo, texts{})

		client, conn := dialIn(t, network)
		t.Cleanup(func() { require.NoError(t, conn.Close()) })

		// Twice that is more than the metadata of a host may take.
		protocol := strings.Repeat("x", 3_000)

		for epoch := range 5 {
			ctx, breaks := context.WithCancel(t.Context())
			md := header(link, offerOf(epoch+1), "protocol", protocol)

			stream, err := client.Stream(metadata.NewOutgoingContext(ctx, md))
			require.NoError(t, err)
			require.NotEmpty(t, requireOpen(t, stream).Get(link))

			synctest.Wait()
			requireRefused(t, openStream(t, client, streamID(2)), codes.ResourceExhausted, "more than 1 streams")
			breaks()
		}

		// A link that is not there takes none of the room.
		for range 10 {
			md := header("streamid", "none", link, offerOf(2))
			requireRefused(t, openStream(t, client, md), codes.FailedPrecondition, "not known")
		}
	})
}
