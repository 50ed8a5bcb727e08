package minogrpc_test

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// streamID returns the metadata of a stream of its own.
func streamID(id int, changes ...string) metadata.MD {
	return header(append(changes, "streamid", strconv.Itoa(id))...)
}

// Promise S3: a peer has a bounded number of streams, and gets back what it ends.
func TestLimits_StreamsOfAPeer(t *testing.T) {
	nodes, _ := startAll(t, 1, echo, minogrpc.NoTLS(), minogrpc.WithStreamLimits(3, 5))
	client := dial(t, nodes[0])

	first := openStream(t, client, streamID(0))
	requireOpen(t, first)

	for i := range 2 {
		stream := openStream(t, client, streamID(i+1))
		requireOpen(t, stream)
	}

	one := openStream(t, client, streamID(3))
	requireRefused(t, one, codes.ResourceExhausted, "more than 3 streams")

	// Another gateway, for somebody who gives a wrong one, counts for the same host.
	for i := range 2 {
		stream := openStream(t, client, streamID(i+4, "gateway", fmt.Sprintf("FA127.0.0.1:%d", i+2)))
		requireOpen(t, stream)
	}

	liar := openStream(t, client, streamID(6, "gateway", "FA127.0.0.1:9"))
	requireRefused(t, liar, codes.ResourceExhausted, "more than 5 streams")

	require.NoError(t, first.CloseSend())
	_, _ = first.Recv()

	again := openStream(t, client, streamID(7))
	requireOpen(t, again)
}

// blockingStore blocks whoever asks for the certificate of a gateway.
type blockingStore struct {
	certs.Storage

	asked   chan struct{}
	release chan struct{}
}

func (s blockingStore) Load(addr mino.Address) (certs.CertChain, error) {
	if strings.Contains(addr.String(), "gateway") {
		s.asked <- struct{}{}
		<-s.release
	}

	return s.Storage.Load(addr)
}

// Promise S3: what is not set up yet is bounded.
func TestLimits_PendingSetUps(t *testing.T) {
	store := blockingStore{certs.NewInMemoryStore(), make(chan struct{}), make(chan struct{})}
	nodes, _ := startAll(t, 1, echo, minogrpc.NoTLS(), minogrpc.WithStorage(store), minogrpc.WithPendingLimit(2))
	client := dial(t, nodes[0])

	pending := make([]ptypes.Overlay_StreamClient, 2)
	for i := range pending {
		pending[i] = openStream(t, client, streamID(i, "gateway", fmt.Sprintf("FBgateway%d:1", i), "handshake", leaf))
		<-store.asked
	}

	late := openStream(t, client, streamID(2))
	requireRefused(t, late, codes.ResourceExhausted, "more than 2 pending set-ups")

	close(store.release)

	for _, stream := range pending {
		requireRefused(t, stream, codes.FailedPrecondition, "no way back")
	}

	// What is set up does not count any more.
	for i := range 5 {
		early := openStream(t, client, streamID(i+3))
		requireOpen(t, early)
	}
}

// Promise S3: a long list of players is refused before it is sent, and before it
// is read.
func TestLimits_PlayersOfAStream(t *testing.T) {
	nodes, rpc := startAll(t, 1, echo, minogrpc.NoTLS(), minogrpc.WithMaxPlayers(3))
	client := dial(t, nodes[0])

	pairs := make([]string, 0, 8)
	addrs := addressesOf(nodes...)

	for i := range 3 {
		pairs = append(pairs, "addr", fmt.Sprintf("FAh:%d", i+1))
		addrs = append(addrs, session.NewAddress(fmt.Sprintf("grpc://h:%d", i+1)))
	}

	allowed := openStream(t, client, streamID(1, pairs...))
	requireOpen(t, allowed)

	refused := openStream(t, client, streamID(2, append(pairs, "addr", "not an address")...))
	requireRefused(t, refused, codes.ResourceExhausted, "more than 3 players")

	_, _, err := rpc.Stream(withContext(t), mino.NewAddresses(addrs[:3]...))
	require.NoError(t, err)
	_, _, err = rpc.Stream(withContext(t), mino.NewAddresses(addrs...))
	require.ErrorContains(t, err, "4 players are more than 3")
}

// Promise S3: metadata that pass the limit are refused before they are sent, and
// the connection stays.
func TestLimits_MetadataAreRefusedAtTheSender(t *testing.T) {
	spy := &spyServer{got: make(chan metadata.MD, 1)}
	root := serve(t, spy)
	nodes, rpc := startAll(t, 1, echo, minogrpc.NoTLS(), minogrpc.WithMaxMetadata(4_000))

	players := append([]mino.Address{root}, addressesOf(nodes...)...)
	for i := range 100 {
		players = append(players, session.NewAddress(fmt.Sprintf("grpc://h:%d", i+1)))
	}

	_, _, err := rpc.Stream(t.Context(), mino.NewAddresses(players...))
	require.ErrorContains(t, err, "is more than 4000")
	require.Empty(t, spy.got)

	_, _, err = rpc.Stream(t.Context(), mino.NewAddresses(players[:50]...))
	require.ErrorContains(t, err, "not today")
	require.Len(t, (<-spy.got).Get("addr"), 49)
}

// Promise S3: the metadata of all the streams of a host are bounded together.
func TestLimits_MetadataOfAHost(t *testing.T) {
	nodes, _ := startAll(t, 1, echo, minogrpc.NoTLS(), minogrpc.WithMaxMetadata(2_000))
	client := dial(t, nodes[0])
	protocol := strings.Repeat("x", 4_000) // What gRPC adds has its own room.

	for i := range 7 {
		stream := openStream(t, client, streamID(i, "protocol", protocol))
		requireOpen(t, stream)
	}

	stream := openStream(t, client, streamID(7, "protocol", protocol))
	requireRefused(t, stream, codes.ResourceExhausted, "more than 32000 bytes of metadata")
}

// sized is the answer to everything, of a given size.
func sized(n int) mino.Handler {
	return handler{
		process: func(mino.Request) (serde.Message, error) { return text(strings.Repeat("x", n)), nil },
		stream:  echo.stream,
	}
}

// Promise S3: a message above the limit is refused where it is sent, and costs
// itself only.
func TestLimits_LargeMessageOfAStream(t *testing.T) {
	const limit = 1 << 20

	nodes, rpc := startAll(t, 3, echo, minogrpc.NoTLS(), minogrpc.WithMaxMessageSize(limit))

	out, in, err := rpc.Stream(withContext(t), playersOf(nodes[1:]...))
	require.NoError(t, err)

	largest := text(strings.Repeat("x", limit))
	child := nodes[2].GetAddress()

	outcomes := out.Send(largest+"x", addressesOf(nodes[1:]...)...)
	for range 2 {
		var failure *session.DeliveryError

		require.ErrorAs(t, <-outcomes, &failure)
		require.Equal(t, session.ReasonRejected, failure.Reason)
		require.ErrorContains(t, failure, "larger than 1048576")
	}

	requireDelivered(t, out.Send(largest, child))

	_, msg, err := in.Recv(t.Context())
	require.NoError(t, err)
	require.Equal(t, largest, msg)
	requireEchoes(t, out, in, nodes[1:]...)
}

// Promise S3: a message that passes the limit of a node on the way is refused by
// that node, and the stream goes on.
func TestLimits_LargeMessageForASmallerNode(t *testing.T) {
	nodes, rpc := startAll(t, 1, echo, minogrpc.NoTLS())
	root := start(t, minogrpc.NoTLS(), minogrpc.WithMaxMessageSize(100))
	mino.MustCreateRPC(root, rpcName, echo, texts{})

	out, in, err := rpc.Stream(withContext(t), playersOf(root, nodes[0]))
	require.NoError(t, err)

	var failure *session.DeliveryError

	require.ErrorAs(t, <-out.Send(text(strings.Repeat("x", 101)), root.GetAddress()), &failure)
	require.Equal(t, session.ReasonRejected, failure.Reason)
	require.Equal(t, root.GetAddress(), failure.Hop)
	requireEchoes(t, out, in, root, nodes[0])
}

// manyAddresses are players whose addresses alone are too large for a packet.
func manyAddresses() []mino.Address {
	addrs := make([]mino.Address, 3_000)
	for i := range addrs {
		addrs[i] = session.NewAddress(fmt.Sprintf("grpc://%s%d:1", strings.Repeat("h", 100), i))
	}

	return addrs
}

// Promise S3: a packet that is too large for the stream of the orchestrator, for
// which gRPC would end the stream, costs itself only.
func TestLimits_LargePacketOfTheOrchestrator(t *testing.T) {
	nodes, rpc := startAll(t, 2, echo, minogrpc.NoTLS(),
		minogrpc.WithMaxMessageSize(1_000), minogrpc.WithMaxMetadata(2_000))

	out, in, err := rpc.Stream(withContext(t), playersOf(nodes[1]))
	require.NoError(t, err)

	var failure *session.DeliveryError

	require.ErrorAs(t, <-out.Send(text("hello"), manyAddresses()...), &failure)
	require.Equal(t, session.ReasonRejected, failure.Reason)
	requireEchoes(t, out, in, nodes[1])
}

// Promise S3: an address that no node can have ends nothing but its packet.
func TestLimits_LongSourceForTheOrchestrator(t *testing.T) {
	nodes, _ := startAll(t, 1, echo, minogrpc.NoTLS())
	client := dial(t, nodes[0])
	stream := openStream(t, client, header())
	requireOpen(t, stream)

	encode := base64.StdEncoding.EncodeToString
	packet := func(host int) *ptypes.Packet {
		source := "FA" + strings.Repeat("h", host) + ":1"

		return &ptypes.Packet{Serialized: fmt.Appendf(nil, `{"Source":%q,"Dest":[%q],"Message":"aGk="}`,
			encode([]byte(source)), encode([]byte("O"+peerText[1:])))}
	}

	_, err := client.Forward(metadata.NewOutgoingContext(t.Context(), header()), packet(300))
	require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
	require.Less(t, len(err.Error()), 1_000)

	// The stream is still there.
	ack, err := client.Forward(metadata.NewOutgoingContext(t.Context(), header()), packet(1))
	require.NoError(t, err)
	require.Empty(t, ack.GetErrors())

	got, err := stream.Recv()
	require.NoError(t, err)
	require.Equal(t, packet(1).GetSerialized(), got.GetSerialized())
}

// Promise S3: a call has the same limit as a message, on both sides.
func TestLimits_LargeMessageOfACall(t *testing.T) {
	nodes, rpc := startAll(t, 1, sized(11), minogrpc.NoTLS(), minogrpc.WithMaxMessageSize(10))

	_, err := rpc.Call(t.Context(), text("01234567890"), playersOf(nodes...))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))

	// The answer is refused by the one who gives it.
	responses, err := rpc.Call(t.Context(), text("0123456789"), playersOf(nodes...))
	require.NoError(t, err)
	_, err = (<-responses).GetMessageOrError()
	require.ErrorContains(t, err, "message of 11 bytes is larger than 10")

	// And the question, and the answer, of somebody who has another limit.
	md := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("apiuri", rpcName))
	_, err = dial(t, nodes[0]).Call(md, &ptypes.Message{From: []byte(peerText), Payload: make([]byte, 11)})
	require.Equal(t, codes.ResourceExhausted, status.Code(err))

	other := start(t, minogrpc.NoTLS())
	mino.MustCreateRPC(other, rpcName, sized(12), texts{})

	responses, err = rpc.Call(t.Context(), text("0123456789"), playersOf(other))
	require.NoError(t, err)
	_, err = (<-responses).GetMessageOrError()
	require.ErrorContains(t, err, "message of 12 bytes is larger than 10")
}

// Promise M3: what the sessions of a node hold is bounded.
func TestLimits_MemoryOfANode(t *testing.T) {
	deaf := handler{stream: func(mino.Sender, mino.Receiver) error {
		<-t.Context().Done()

		return nil
	}}
	nodes, rpc := startAll(t, 1, echo, minogrpc.NoTLS())
	root := start(t, minogrpc.NoTLS(), minogrpc.WithMemory(10_000), minogrpc.WithPeerShare(10_000),
		minogrpc.WithMaxMessageSize(10_000))
	mino.MustCreateRPC(root, rpcName, deaf, texts{})

	var failures []error

	for range 2 {
		out, _, err := rpc.Stream(withContext(t), playersOf(root, nodes[0]))
		require.NoError(t, err)

		for err := range out.Send(text(strings.Repeat("x", 6_000)), root.GetAddress()) {
			failures = append(failures, err)
		}
	}

	var failure *session.DeliveryError

	require.Len(t, failures, 1)
	require.ErrorAs(t, failures[0], &failure)
	require.Equal(t, session.ReasonOverflow, failure.Reason)
}

// Promise M3: the messages of the calls of a peer count for its share of the memory while they are
// served.
func TestLimits_MemoryOfCalls(t *testing.T) {
	const share = 1 << 20

	asked, release := make(chan struct{}), make(chan struct{})
	h := handler{process: func(mino.Request) (serde.Message, error) {
		asked <- struct{}{}
		<-release

		return text("answer"), nil
	}}
	nodes, _ := startAll(t, 1, h, minogrpc.NoTLS(), minogrpc.WithMemory(4*share), minogrpc.WithMaxMessageSize(share))
	client := dial(t, nodes[0])
	md := metadata.NewOutgoingContext(withContext(t), metadata.Pairs("apiuri", rpcName))

	call := func(size int) error {
		_, err := client.Call(md, &ptypes.Message{From: []byte(peerText), Payload: make([]byte, size)})

		return err
	}

	first := make(chan error, 1)
	go func() { first <- call(share * 2 / 3) }()

	<-asked

	err := call(share * 2 / 3)
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.ErrorContains(t, err, "bytes of messages")

	second := make(chan error, 1)
	go func() { second <- call(share / 4) }()

	<-asked
	close(release)
	require.NoError(t, <-first)
	require.NoError(t, <-second)

	go func() { first <- call(share * 2 / 3) }()

	<-asked
	require.NoError(t, <-first)
}

// Promises M3, S3: the routing tables of the streams of a peer count for its share of the memory. What
// does not fit is refused before it is read, and a stream that ends gives its part back.
func TestLimits_MemoryOfRoutingTables(t *testing.T) {
	const share = 120_000

	nodes, _ := startAll(t, 1, echo, minogrpc.NoTLS(), minogrpc.WithMemory(4*share),
		minogrpc.WithMaxMessageSize(share))
	client := dial(t, nodes[0])

	players, addrs := make([]string, 0, 600), make([]mino.Address, 0, 300)

	for i := range cap(addrs) {
		addrs = append(addrs, session.NewAddress(fmt.Sprintf("grpc://h%d:1", i)))
		players = append(players, "addr", fmt.Sprintf("FAh%d:1", i))
	}

	handshake, err := types.NewHandshake(3, addrs...).Serialize(json.NewContext())
	require.NoError(t, err)

	first := openStream(t, client, streamID(0, players...))
	requireOpen(t, first)

	second := openStream(t, client, streamID(1, session.HandshakeKey, string(handshake)))
	requireOpen(t, second)

	for _, md := range []metadata.MD{
		streamID(2, append(players, "addr", "not an address")...),
		streamID(3, session.HandshakeKey, string(handshake)+"not a handshake"),
	} {
		requireRefused(t, openStream(t, client, md), codes.ResourceExhausted, "routing table does not fit")
	}

	other := openStream(t, client, streamID(4, append(players, "gateway", "FAother:1")...))
	requireOpen(t, other)

	require.NoError(t, first.CloseSend())
	_, _ = first.Recv()

	again := openStream(t, client, streamID(5, players...))
	requireOpen(t, again)
}

// Promise M3: a node whose messages may be larger than the share of a peer does not start.
func TestLimits_MessageFitsIntoTheShareOfAPeer(t *testing.T) {
	_, err := impatientNode(minogrpc.NoTLS(), minogrpc.WithMemory(4000), minogrpc.WithMaxMessageSize(1001))
	require.ErrorContains(t, err, "1001 bytes")
	require.ErrorContains(t, err, "only 1000 of the memory of 4000")
}

func TestLimits_OthersThanPositiveAreIgnored(t *testing.T) {
	nodes, rpc := startAll(t, 2, echo, minogrpc.NoTLS(),
		minogrpc.WithStreamLimits(0, -1), minogrpc.WithPendingLimit(0), minogrpc.WithMaxPlayers(-1),
		minogrpc.WithMaxMetadata(0), minogrpc.WithMaxMessageSize(-1), minogrpc.WithMemory(0),
		minogrpc.WithHandshakeLimit(0), minogrpc.WithTokenLimit(0, -1), minogrpc.WithIntroductionLimit(0),
		minogrpc.WithMaxPeers(0), minogrpc.WithLiveness(0), minogrpc.WithPeerShare(-1))

	out, in, err := rpc.Stream(withContext(t), playersOf(nodes...))
	require.NoError(t, err)
	requireEchoes(t, out, in, nodes...)
}

// Promise S3: a limit that is none to speak of lets everything through, and not nothing.
func TestLimits_LargestOnesRefuseNothing(t *testing.T) {
	nodes, rpc := startAll(t, 2, echo, minogrpc.NoTLS(),
		minogrpc.WithStreamLimits(math.MaxInt, math.MaxInt), minogrpc.WithPendingLimit(math.MaxInt),
		minogrpc.WithMaxPlayers(math.MaxInt), minogrpc.WithMaxMetadata(math.MaxInt),
		minogrpc.WithMaxMessageSize(math.MaxInt), minogrpc.WithMemory(math.MaxInt),
		minogrpc.WithPeerShare(math.MaxInt))

	out, in, err := rpc.Stream(withContext(t), playersOf(nodes...))
	require.NoError(t, err)
	requireEchoes(t, out, in, nodes...)
}

// lines counts the lines of a log.
type lines struct {
	n atomic.Int64
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.n.Add(1)

	return len(p), nil
}

// Promise S3: what is refused does not fill the log.
func TestLimits_LogOfRefusals(t *testing.T) {
	var log lines

	nodes, _ := startAll(t, 1, echo, minogrpc.NoTLS(), minogrpc.WithLogger(zerolog.New(&log)))
	client := dial(t, nodes[0])
	begun := time.Now()

	for range 400 {
		_, err := client.Call(t.Context(), &ptypes.Message{From: []byte(peerText)})
		require.Error(t, err)
	}

	require.GreaterOrEqual(t, log.n.Load(), int64(100))
	require.LessOrEqual(t, log.n.Load(), 110+int64(time.Since(begun)/time.Second))
}
