package matrix_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc"
)

// ourNode is a node of this library.
type ourNode struct {
	*minogrpc.Minogrpc

	rpc   mino.RPC
	plug  *plug
	once  sync.Once
	count atomic.Int64
}

func (w *network) startOurs(c nodeConfig) (node, error) {
	port, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}

	o := &ourNode{plug: newPlug()}
	opts := []minogrpc.Option{
		minogrpc.WithListener(&pluggedListener{Listener: port, plug: o.plug}),
		minogrpc.WithDialOptions(grpc.WithContextDialer(o.plug.dial)),
		minogrpc.WithSessionOptions(session.WithObserver(session.Observer{
			PacketSent:     func(session.StreamInfo, mino.Address, session.PacketInfo) { o.count.Add(1) },
			PacketReceived: func(session.StreamInfo, mino.Address, session.PacketInfo) { o.count.Add(1) },
		})),
		minogrpc.WithStorage(w.ours),
		minogrpc.NoTLS(),
	}

	if c.tls {
		opts[len(opts)-1] = minogrpc.AllowUnauthenticatedPeers()
	}

	if c.patient {
		opts = append(opts, minogrpc.WithSessionOptions(session.WithSetupTimeout(patience),
			session.WithOutcomeTimeout(3*patience), session.WithLiveness(patience),
			session.WithAdoptionGrace(3*patience)))
	}

	o.Minogrpc, err = minogrpc.NewMinogrpc(nil, nil,
		tree.NewRouter(minogrpc.NewAddressFactory(), tree.WithHeight(c.height)), opts...)
	if err != nil {
		return nil, err
	}

	w.knows(o.address(), o.GetCertificateChain())

	o.rpc, err = o.CreateRPC(uri, ourHandler{book: w.book, name: o.address()}, messages{})

	return o, err
}

func (o *ourNode) kind() kind    { return ours }
func (o *ourNode) address() text { return textOf(o.GetAddress()) }
func (o *ourNode) packets() int  { return int(o.count.Load()) }

func (o *ourNode) kill() {
	o.plug.pull()
	o.stop()
}

func (o *ourNode) stop() {
	o.once.Do(func() { _ = o.Stop() }) // a killed one may complain
}

func (o *ourNode) open(ctx context.Context, players []text) (stream, error) {
	out, in, err := o.rpc.Stream(ctx, mino.NewAddresses(addressesOf(players)...))
	if err != nil {
		return nil, err
	}

	return ourStream{out, in}, nil
}

func (o *ourNode) call(ctx context.Context, question string, to text) (string, error) {
	answers, err := o.rpc.Call(ctx, message(question), mino.NewAddresses(addressOf(to)))
	if err != nil {
		return "", err
	}

	msg, err := (<-answers).GetMessageOrError()
	if err != nil {
		return "", err
	}

	return string(msg.(message)), nil
}

// ourHandler implements mino.Handler.
type ourHandler struct {
	book *book
	name text
}

func (h ourHandler) Process(req mino.Request) (serde.Message, error) { return req.Message, nil }

func (h ourHandler) Stream(out mino.Sender, in mino.Receiver) error {
	return h.book.serve(h.name, ourStream{out, in})
}

// ourStream is a part of a node of this library.
type ourStream struct {
	out mino.Sender
	in  mino.Receiver
}

func (s ourStream) send(msg string, to ...text) []failure {
	var failures []failure

	for err := range s.out.Send(message(msg), addressesOf(to)...) {
		f := failure{words: err.Error()}

		if delivery, ok := errors.AsType[*session.DeliveryError](err); ok && delivery.Destination != nil {
			f.about = textOf(delivery.Destination)
		}

		failures = append(failures, f)
	}

	return failures
}

func (s ourStream) recv(ctx context.Context) (text, string, error) {
	from, msg, err := s.in.Recv(ctx)
	if err != nil {
		return "", "", err
	}

	return textOf(from), string(msg.(message)), nil
}

func addressOf(t text) mino.Address {
	return minogrpc.NewAddressFactory().FromText([]byte(t))
}

func addressesOf(texts []text) []mino.Address {
	addrs := make([]mino.Address, len(texts))
	for i, t := range texts {
		addrs[i] = addressOf(t)
	}

	return addrs
}

// plug connects a node to the network. When it is pulled, all connections break at once, and
// there are no more, as when a process dies.
type plug struct {
	mu     sync.Mutex
	pulled bool
	conns  map[net.Conn]struct{}
}

func newPlug() *plug { return &plug{conns: make(map[net.Conn]struct{})} }

func (p *plug) pull() {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.pulled = true

	for conn := range p.conns {
		_ = conn.Close()
	}
}

func (p *plug) add(conn net.Conn) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if p.pulled {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}

	p.conns[conn] = struct{}{}

	return &pluggedConn{Conn: conn, plug: p}, nil
}

func (p *plug) dial(ctx context.Context, target string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, err
	}

	return p.add(conn)
}

type pluggedConn struct {
	net.Conn

	plug *plug
}

func (c *pluggedConn) Close() error {
	c.plug.mu.Lock()
	delete(c.plug.conns, c.Conn)
	c.plug.mu.Unlock()

	return c.Conn.Close()
}

type pluggedListener struct {
	net.Listener

	plug *plug
}

func (l *pluggedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}

	return l.plug.add(conn)
}
