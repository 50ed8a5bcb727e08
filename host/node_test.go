package host_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// text is the message of these tests, and texts its factory.
type text string

func (t text) Serialize(serde.Context) ([]byte, error) {
	if t == "unserializable" {
		return nil, errors.New("it has no form")
	}

	return []byte(t), nil
}

type texts struct{}

func (texts) Deserialize(_ serde.Context, data []byte) (serde.Message, error) {
	if string(data) == "malformed" {
		return nil, errors.New("it makes no sense")
	}

	return text(data), nil
}

// handler implements mino.Handler with functions, either of which may be nil.
type handler struct {
	process func(mino.Request) (serde.Message, error)
	stream  func(mino.Sender, mino.Receiver) error
}

func (h handler) Process(req mino.Request) (serde.Message, error) { return h.process(req) }

func (h handler) Stream(out mino.Sender, in mino.Receiver) error { return h.stream(out, in) }

// echo answers everything with the same message, until the stream ends.
var echo = handler{stream: func(out mino.Sender, in mino.Receiver) error {
	for {
		from, msg, err := in.Recv(context.Background())
		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil {
			return err
		}

		out.Send(msg, from)
	}
}}

// world is a network in memory, in a bubble of virtual time.
type world struct {
	*testing.T

	network *sessiontest.Network
}

func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, network: sessiontest.NewNetwork()}
		t.Cleanup(w.network.Close)

		test(w)
	})
}

// node is a host that is served as it is.
type node struct {
	*host.Host

	me     session.Address
	conns  *session.ConnManager
	server *grpc.Server
	test   *host.Procedure
}

// node returns a node that a test stops itself.
func (w *world) node(name string, h mino.Handler, opts ...host.Option) *node {
	w.Helper()

	listener, err := w.network.Listen(name)
	require.NoError(w, err)

	n := &node{me: session.NewAddress("grpc://" + name), conns: w.conns(name), server: grpc.NewServer()}
	n.Host = host.New(n.me, tree.NewRouter(session.AddressFactory{}), n.conns, opts...)
	n.test, err = n.Register(host.Path{}, "test", h, texts{})
	require.NoError(w, err)

	ptypes.RegisterOverlayServer(n.server, n.Host)

	go func() { _ = n.server.Serve(listener) }() // Stop ends it.

	return n
}

// start is node for a node that is stopped when the test ends.
func (w *world) start(name string, h mino.Handler, opts ...host.Option) *node {
	w.Helper()

	n := w.node(name, h, opts...)
	w.Cleanup(func() { require.NoError(w, n.stop()) })

	return n
}

func (n *node) stop() error {
	return n.Stop(2*time.Second, n.server)
}

// conns returns the connections of a node.
func (w *world) conns(name string) *session.ConnManager {
	mgr := session.NewConnManager(session.WithDialOptions(grpc.WithContextDialer(w.network.Dialer(name))))
	w.Cleanup(func() { require.NoError(w, mgr.Close()) })

	return mgr
}

// open opens a stream as somebody does who is no node of ours, and ends it with the test.
func (w *world) open(to *node, pairs ...string) (session.OpenStream, error) {
	opened, err := session.ConnOpener(w.conns("stranger:1"), to.me, metadata.Pairs(pairs...))(w.Context(), nil)
	if err == nil {
		w.Cleanup(opened.Release)
	}

	return opened, err
}

// forward sends a packet in a call, and returns the trailer of the answer.
func (w *world) forward(to *node, packet *ptypes.Packet, pairs ...string) (metadata.MD, error) {
	conn, err := w.conns("stranger:1").Acquire(to.me)
	require.NoError(w, err)

	var trailer metadata.MD

	ctx := metadata.NewOutgoingContext(w.Context(), metadata.Pairs(pairs...))
	_, err = ptypes.NewOverlayClient(conn).Forward(ctx, packet, grpc.Trailer(&trailer))

	return trailer, err
}

// refusal opens a stream, and returns its error and trailer, or no error when it is accepted.
func (w *world) refusal(to *node, pairs ...string) (metadata.MD, error) {
	conn, err := w.conns("stranger:1").Acquire(to.me)
	require.NoError(w, err)

	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(w.Context(), metadata.Pairs(pairs...)))
	defer cancel()

	stream, err := ptypes.NewOverlayClient(conn).Stream(ctx)
	require.NoError(w, err)

	if header, err := stream.Header(); header != nil {
		return nil, err
	}

	_, err = stream.Recv()

	return stream.Trailer(), err
}

// as returns the metadata of a call in a stream.
func as(gateway, stream string, more ...string) []string {
	return append([]string{session.URIKey, "test", session.StreamIDKey, stream, session.GatewayKey, gateway}, more...)
}

// players returns the addresses of nodes.
func players(nodes ...*node) mino.Players {
	addrs := make([]mino.Address, len(nodes))
	for i, n := range nodes {
		addrs[i] = n.me
	}

	return mino.NewAddresses(addrs...)
}

// requireEcho sends a message to a node and waits for the answer.
func (w *world) requireEcho(out mino.Sender, in mino.Receiver, to *node) {
	w.Helper()

	for err := range out.Send(text("hello"), to.me) {
		require.NoError(w, err)
	}

	from, msg, err := in.Recv(w.Context())
	require.NoError(w, err)
	require.Equal(w, text("hello"), msg)
	require.Equal(w, session.KeyOf(to.me), session.KeyOf(from))
}
