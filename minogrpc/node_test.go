package minogrpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
)

// rpcName is the procedure of these tests.
const rpcName = "test"

// errHandler is what a handler fails with.
var errHandler = errors.New("the handler has had enough")

// text is the message of these tests.
type text string

func (t text) Serialize(serde.Context) ([]byte, error) {
	return []byte(t), nil
}

// texts is the factory for text.
type texts struct{}

func (texts) Deserialize(_ serde.Context, data []byte) (serde.Message, error) {
	return text(data), nil
}

// handler implements mino.Handler with functions, either of which may be nil.
type handler struct {
	process func(mino.Request) (serde.Message, error)
	stream  func(mino.Sender, mino.Receiver) error
}

func (h handler) Process(req mino.Request) (serde.Message, error) {
	return h.process(req)
}

func (h handler) Stream(out mino.Sender, in mino.Receiver) error {
	return h.stream(out, in)
}

// echo answers everything with the same message, until the stream ends.
var echo = handler{
	process: func(req mino.Request) (serde.Message, error) { return req.Message, nil },
	stream: func(out mino.Sender, in mino.Receiver) error {
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
	},
}

// start returns a node that is stopped when the test ends.
func start(t *testing.T, opts ...minogrpc.Option) *minogrpc.Minogrpc {
	t.Helper()

	return startExactly(t, linked(opts)...)
}

// startExactly is start for a test that chooses the links itself.
func startExactly(t *testing.T, opts ...minogrpc.Option) *minogrpc.Minogrpc {
	t.Helper()

	node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil,
		tree.NewRouter(minogrpc.NewAddressFactory()), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, node.Stop()) })

	return node
}

// startAll returns that many nodes on loopback, which know each other's
// certificates, and the procedure of the first. All have the same handler.
func startAll(t *testing.T, n int, h mino.Handler, opts ...minogrpc.Option) ([]*minogrpc.Minogrpc, mino.RPC) {
	t.Helper()

	nodes := make([]*minogrpc.Minogrpc, n)
	rpcs := make([]mino.RPC, n)

	for i := range nodes {
		nodes[i] = start(t, opts...)
		rpcs[i] = mino.MustCreateRPC(nodes[i], rpcName, h, texts{})
	}

	for _, node := range nodes {
		for _, peer := range nodes {
			if peer.ServeTLS() {
				require.NoError(t, node.GetCertificateStore().Store(peer.GetAddress(), peer.GetCertificateChain()))
			}
		}
	}

	return nodes, rpcs[0]
}

// startIn returns a node on a network in memory. It is stopped when the test ends. What is
// public is a host and port such as n1:1, for a node that is secured as all are in this
// run, or a URL such as grpc://n1:1.
func startIn(t *testing.T, network *sessiontest.Network, public string, opts ...minogrpc.Option) *minogrpc.Minogrpc {
	t.Helper()

	node := newIn(t, network, public, opts...)
	t.Cleanup(func() { require.NoError(t, node.Stop()) })

	return node
}

// newIn is startIn for a test that stops the node itself.
func newIn(t *testing.T, network *sessiontest.Network, public string, opts ...minogrpc.Option) *minogrpc.Minogrpc {
	t.Helper()

	return newRouted(t, network, public, tree.NewRouter(minogrpc.NewAddressFactory()), opts...)
}

// newRouted is newIn for a test that chooses the router.
func newRouted(t *testing.T, network *sessiontest.Network, public string, r router.Router, opts ...minogrpc.Option,
) *minogrpc.Minogrpc {
	t.Helper()

	u, security := publicOf(t, public)

	listener, err := network.Listen(u.Host)
	require.NoError(t, err)

	opts = append([]minogrpc.Option{
		security,
		minogrpc.WithListener(listener),
		minogrpc.WithDialOptions(grpc.WithContextDialer(network.Dialer(u.Host))),
	}, opts...)

	node, err := minogrpc.NewMinogrpc(nil, u, r, linked(opts)...)
	require.NoError(t, err)

	return node
}

// playersOf returns the nodes as players.
func playersOf(nodes ...*minogrpc.Minogrpc) mino.Players {
	return mino.NewAddresses(addressesOf(nodes...)...)
}

func addressesOf(nodes ...*minogrpc.Minogrpc) []mino.Address {
	addrs := make([]mino.Address, len(nodes))
	for i, node := range nodes {
		addrs[i] = node.GetAddress()
	}

	return addrs
}

// requireDelivered waits for the outcome of every destination.
func requireDelivered(t *testing.T, outcomes <-chan error) {
	t.Helper()

	for err := range outcomes {
		require.NoError(t, err)
	}
}

// requireEchoes sends a message to all the nodes, and waits for each to answer.
func requireEchoes(t *testing.T, out mino.Sender, in mino.Receiver, nodes ...*minogrpc.Minogrpc) {
	t.Helper()

	requireDelivered(t, out.Send(text("hello"), addressesOf(nodes...)...))

	waiting := addressesOf(nodes...)
	for len(waiting) > 0 {
		from, msg, err := in.Recv(t.Context())
		require.NoError(t, err)
		require.Equal(t, text("hello"), msg)

		before := len(waiting)
		waiting = without(waiting, from)
		require.Len(t, waiting, before-1, "%v has answered twice, or is a stranger", from)
	}
}

func without(addrs []mino.Address, addr mino.Address) []mino.Address {
	var rest []mino.Address

	for _, a := range addrs {
		if !a.Equal(addr) {
			rest = append(rest, a)
		}
	}

	return rest
}

// counting returns a dialer that counts the connections that are open.
func counting(dial func(context.Context, string) (net.Conn, error), open *atomic.Int32,
) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, target string) (net.Conn, error) {
		conn, err := dial(ctx, target)
		if err != nil {
			return nil, err
		}

		open.Add(1)

		return &countedConn{Conn: conn, open: open}, nil
	}
}

// countedConn is a connection that is counted until it is closed.
type countedConn struct {
	net.Conn

	open   *atomic.Int32
	closed atomic.Bool
}

func (c *countedConn) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}

	return c.Conn.Close()
}

// listen opens a port on loopback.
func listen(t *testing.T) net.Listener {
	t.Helper()

	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)

	return listener
}
