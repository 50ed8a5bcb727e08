package minogrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	// peerText is the address of a node that exists as a client only.
	peerText = "FA127.0.0.1:1"

	// leaf is the handshake for a node without children.
	leaf = `{"Height":1,"Addresses":[]}`

	link = session.LinkKey
)

// dial returns a bare client of a node without TLS.
func dial(t *testing.T, node *minogrpc.Minogrpc) ptypes.OverlayClient {
	t.Helper()

	target := strings.TrimPrefix(node.GetAddress().String(), "grpc://")

	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })

	return ptypes.NewOverlayClient(conn)
}

// header returns the metadata of an orchestrator's call, changed by pairs of keys
// and values.
func header(changes ...string) metadata.MD {
	md := metadata.Pairs("apiuri", rpcName, "streamid", "s1", "gateway", peerText)
	for key, values := range metadata.Pairs(changes...) {
		md.Set(key, values...)
	}

	return md
}

// openStream opens a stream with the metadata.
func openStream(t *testing.T, client ptypes.OverlayClient, md metadata.MD) ptypes.Overlay_StreamClient {
	t.Helper()

	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)

	stream, err := client.Stream(metadata.NewOutgoingContext(ctx, md))
	require.NoError(t, err)

	return stream
}

// requireRefused checks that a stream was not accepted.
func requireRefused(t *testing.T, stream ptypes.Overlay_StreamClient, code codes.Code, reason string) {
	t.Helper()

	accepted, err := stream.Header()
	require.NoError(t, err)
	require.Nil(t, accepted)

	_, err = stream.Recv()
	require.Equal(t, code, status.Code(err), "%v", err)
	require.ErrorContains(t, err, reason)
}

// requireOpen waits for the header of a stream.
func requireOpen(t *testing.T, stream ptypes.Overlay_StreamClient) metadata.MD {
	t.Helper()

	accepted, err := stream.Header()
	require.NoError(t, err)
	require.NotNil(t, accepted)

	return accepted
}

func TestServer_StreamChecksTheMetadata(t *testing.T) {
	nodes, _ := startAll(t, 1, echo, minogrpc.NoTLS())
	client := dial(t, nodes[0])

	ancestors := slices.Repeat([]string{session.AncestorKey, "FAh:1"}, 65)

	cases := map[string]struct {
		md     metadata.MD
		code   codes.Code
		reason string
	}{
		"no metadata":     {metadata.MD{}, codes.InvalidArgument, "gateway"},
		"no uri":          {header("apiuri", ""), codes.InvalidArgument, "apiuri"},
		"unknown uri":     {header("apiuri", "a/b"), codes.Unimplemented, `unknown procedure "a/b"`},
		"no stream id":    {header("streamid", ""), codes.InvalidArgument, "streamid"},
		"two stream ids":  {header("streamid", "a", "streamid", "b"), codes.InvalidArgument, "streamid"},
		"long stream id":  {header("streamid", strings.Repeat("a", 257)), codes.InvalidArgument, "streamid"},
		"no gateway":      {header("gateway", ""), codes.InvalidArgument, "gateway"},
		"short gateway":   {header("gateway", "F"), codes.InvalidArgument, "gateway"},
		"odd gateway":     {header("gateway", "FZ127.0.0.1:1"), codes.InvalidArgument, "no way to connect"},
		"odd player":      {header("addr", "FA127.0.0.1:2", "addr", "FA"), codes.InvalidArgument, "addr"},
		"many ancestors":  {header(ancestors...), codes.InvalidArgument, "more than 64 ancestors"},
		"odd ancestor":    {header("session-ancestor", "F"), codes.InvalidArgument, "session-ancestor"},
		"odd handshake":   {header("handshake", "null"), codes.InvalidArgument, "handshake"},
		"unknown gateway": {header("gateway", "FBh:1", "handshake", leaf), codes.FailedPrecondition, "no way back"},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stream := openStream(t, client, tc.md)
			requireRefused(t, stream, tc.code, tc.reason)
		})
	}
}

func TestServer_ForwardChecksTheMetadata(t *testing.T) {
	nodes, _ := startAll(t, 1, echo, minogrpc.NoTLS())
	client := dial(t, nodes[0])
	stream := openStream(t, client, header())
	requireOpen(t, stream)

	forward := func(md metadata.MD) error {
		_, err := client.Forward(metadata.NewOutgoingContext(t.Context(), md), &ptypes.Packet{Serialized: []byte("?")})

		return err
	}

	err := forward(header("streamid", "unknown"))
	require.Equal(t, codes.NotFound, status.Code(err))
	require.ErrorContains(t, err, "unknown stream")

	require.Equal(t, codes.InvalidArgument, status.Code(forward(header("gateway", ""))))

	err = forward(header())
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	require.ErrorContains(t, err, "packet malformed")
}

func TestServer_PlainNodeLetsNobodyJoin(t *testing.T) {
	client := dial(t, start(t, minogrpc.NoTLS()))

	_, err := client.Join(t.Context(), &ptypes.JoinRequest{})
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
	_, err = client.Share(t.Context(), &ptypes.CertificateChain{})
	require.Equal(t, codes.FailedPrecondition, status.Code(err))
}

func TestServer_AcceptsDuplexLinksThatItUnderstands(t *testing.T) {
	node := startExactly(t, minogrpc.NoTLS())
	mino.MustCreateRPC(node, rpcName, echo, texts{})
	client := dial(t, node)

	const (
		id    = "id=00112233445566778899aabbccddeeff"
		offer = "duplex-1;" + id + ";epoch=1;received=0;frame=65536;format=tree1;new=thing"
		other = "duplex-1;" + id + ";epoch=1;frame=999999;format=x+y"

		accepted = "duplex-1;received=0;frame=65536;format=tree1;session="
		bounded  = "duplex-1;received=0;frame=262144;session="
	)

	cases := map[string]struct {
		md       metadata.MD
		accepted string
	}{
		"not offered":         {header("streamid", "a"), ""},
		"by an orchestrator":  {header("streamid", "b", link, "other", link, offer), accepted},
		"by a player":         {header("streamid", "c", link, offer, "handshake", leaf), accepted},
		"another format":      {header("streamid", "d", link, other), bounded},
		"another version":     {header("streamid", "e", link, "duplex-2;"+id+";epoch=1;frame=65536"), ""},
		"without an id":       {header("streamid", "f", link, "duplex-1;epoch=1;frame=65536"), ""},
		"with a short id":     {header("streamid", "g", link, "duplex-1;id=00;epoch=1;frame=65536"), ""},
		"without an epoch":    {header("streamid", "h", link, "duplex-1;"+id+";frame=65536"), ""},
		"with tiny frames":    {header("streamid", "i", link, "duplex-1;"+id+";epoch=1;frame=100"), ""},
		"for something older": {header("streamid", "j", link, "receipt"), ""},
	}

	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			values := requireOpen(t, openStream(t, client, tc.md)).Get(link)

			if tc.accepted == "" {
				require.Empty(t, values)
			} else {
				require.Len(t, values, 1)
				require.True(t, strings.HasPrefix(values[0], tc.accepted), values[0])
			}
		})
	}
}

// countedHandler returns a handler that waits for the end of its stream, and the
// channel on which it tells of each start.
func countedHandler() (mino.Handler, chan struct{}) {
	started := make(chan struct{}, 100)

	return handler{stream: func(_ mino.Sender, in mino.Receiver) error {
		started <- struct{}{}

		_, _, err := in.Recv(context.Background())
		if errors.Is(err, io.EOF) {
			return nil
		}

		return err
	}}, started
}

// requireStarts checks how many handlers have been started in the life of a node.
func requireStarts(t *testing.T, node *minogrpc.Minogrpc, started chan struct{}, n int) {
	t.Helper()

	require.NoError(t, node.Stop())
	require.Len(t, started, n)
}

func TestServer_OneHandlerHoweverManyParents(t *testing.T) {
	h, started := countedHandler()
	nodes, _ := startAll(t, 1, h, minogrpc.NoTLS())
	client := dial(t, nodes[0])

	streams := make([]ptypes.Overlay_StreamClient, 10)
	for i := range streams {
		streams[i] = openStream(t, client, header("gateway", fmt.Sprintf("FA127.0.0.1:%d", i+1)))
	}

	for _, stream := range streams {
		requireOpen(t, stream)
	}

	for _, stream := range streams {
		require.NoError(t, stream.CloseSend())
	}

	for _, stream := range streams {
		_, err := stream.Recv()
		require.ErrorIs(t, err, io.EOF)
	}

	requireStarts(t, nodes[0], started, 1)
}

func TestServer_ParentThatRegistersAgainStays(t *testing.T) {
	h, started := countedHandler()
	nodes, _ := startAll(t, 1, h, minogrpc.NoTLS())
	client := dial(t, nodes[0])

	old := openStream(t, client, header())
	requireOpen(t, old)

	again := openStream(t, client, header())
	requireOpen(t, again)

	_, err := old.Recv()
	require.ErrorIs(t, err, io.EOF)

	third := openStream(t, client, header("gateway", "FA127.0.0.1:2"))
	requireOpen(t, third)
	requireStarts(t, nodes[0], started, 1)
}

// Promise L8: a stream that has ended on a node stays ended there.
func TestServer_LateOpenerIsRefused(t *testing.T) {
	h, started := countedHandler()
	nodes, _ := startAll(t, 1, h, minogrpc.NoTLS())
	client := dial(t, nodes[0])

	stream := openStream(t, client, header())
	requireOpen(t, stream)
	require.NoError(t, stream.CloseSend())

	_, err := stream.Recv()
	require.ErrorIs(t, err, io.EOF)

	late := openStream(t, client, header())
	requireRefused(t, late, codes.FailedPrecondition, "ended")

	other := openStream(t, client, header("streamid", "s2"))
	requireOpen(t, other)
	requireStarts(t, nodes[0], started, 2)
}

// Promise L8: also when the handler of the root has ended it.
func TestServer_LateOpenerOfAFailedStreamIsRefused(t *testing.T) {
	nodes, _ := startAll(t, 1, handler{stream: func(mino.Sender, mino.Receiver) error { return errHandler }},
		minogrpc.NoTLS())
	client := dial(t, nodes[0])

	stream := openStream(t, client, header())
	requireOpen(t, stream)

	_, err := stream.Recv()
	require.Equal(t, codes.Aborted, status.Code(err))
	require.ErrorContains(t, err, errHandler.Error())

	late := openStream(t, client, header())
	requireRefused(t, late, codes.FailedPrecondition, "ended")
}

func TestStream_SendsTheMetadataThatAllNodesKnow(t *testing.T) {
	nodes, _ := startAll(t, 3, echo, minogrpc.NoTLS())
	spy := &spyServer{got: make(chan metadata.MD, 1)}
	root := serve(t, spy)
	rpc := mino.MustCreateRPC(nodes[0].WithSegment("segment"), rpcName, echo, texts{})
	players := append([]mino.Address{root}, addressesOf(nodes...)...)

	for tag, ctx := range map[string]context.Context{
		"__UNDEFINED_PROTOCOL__": t.Context(),
		"tag":                    mino.WithProtocol(t.Context(), "tag"),
	} {
		_, _, err := rpc.Stream(ctx, mino.NewAddresses(players...))
		require.ErrorContains(t, err, "not today")

		md := <-spy.got
		require.Equal(t, []string{"segment/test"}, md.Get("apiuri"))
		require.Regexp(t, `^[0-9a-f]{32}$`, strings.Join(md.Get("streamid"), ","))
		require.Equal(t, textsOf(nodes[0].GetAddress()), md.Get("gateway"))
		require.Equal(t, textsOf(addressesOf(nodes...)...), md.Get("addr"))
		require.Equal(t, []string{tag}, md.Get("protocol"))
		require.Equal(t, []string{"application/grpc"}, md.Get("content-type"))
		require.Empty(t, md.Get(session.HandshakeKey))
	}
}

func textsOf(addrs ...mino.Address) []string {
	texts := make([]string, len(addrs))

	for i, addr := range addrs {
		text, _ := addr.MarshalText()
		texts[i] = string(text)
	}

	return texts
}

// spyServer refuses streams and tells their metadata.
type spyServer struct {
	ptypes.UnimplementedOverlayServer

	got chan metadata.MD
}

func (s *spyServer) Stream(stream ptypes.Overlay_StreamServer) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	s.got <- md

	return status.Error(codes.ResourceExhausted, "not today")
}
