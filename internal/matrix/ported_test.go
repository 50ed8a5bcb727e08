package matrix_test

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde/json"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// ported is a node of an existing overlay that has been compiled on the session of this
// library, and has changed nothing but its imports. It has no TLS.
const ported kind = "ported"

// portedNode does what existing overlays rely on: it holds the lock of its sessions until
// Listen has closed ready, makes the table of an orchestrator with the follower form of its
// own address, and knows no duplex link.
type portedNode struct {
	ptypes.UnimplementedOverlayServer

	book   *book
	me     session.Address
	router router.Router
	conns  *countedConns
	plug   *plug
	server *grpc.Server
	count  atomic.Int64
	// streams counts those of parents, each of which holds a connection.
	streams atomic.Int64
	tasks   sync.WaitGroup
	once    sync.Once

	mu       sync.Mutex
	sessions map[string]session.Session
}

func (w *network) startPorted(c nodeConfig) (node, error) {
	port, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}

	p := &portedNode{
		book:     w.book,
		me:       session.NewAddress("grpc://" + port.Addr().String()),
		router:   tree.NewRouter(session.AddressFactory{}, tree.WithHeight(c.height)),
		plug:     newPlug(),
		server:   grpc.NewServer(grpc.MaxRecvMsgSize(1e9), grpc.WaitForHandlers(true)),
		sessions: make(map[string]session.Session),
	}
	p.conns = &countedConns{dial: p.plug.dial, open: make(map[string]*countedConn)}

	ptypes.RegisterOverlayServer(p.server, p)
	p.tasks.Go(func() { _ = p.server.Serve(&pluggedListener{Listener: port, plug: p.plug}) })

	return p, nil
}

func (p *portedNode) kind() kind    { return ported }
func (p *portedNode) address() text { return textOf(p.me) }
func (p *portedNode) packets() int  { return int(p.count.Load()) }

func (p *portedNode) kill() {
	p.plug.pull()
	p.stop()
}

func (p *portedNode) stop() {
	p.once.Do(func() {
		p.server.Stop()
		p.tasks.Wait()
		p.conns.close()
	})
}

func (p *portedNode) newSession(md metadata.MD, me mino.Address) session.Session {
	return session.NewSession(md, me, messages{}, p.router.GetPacketFactory(), json.NewContext(), p.conns,
		session.WithObserver(session.Observer{
			PacketSent:     func(session.StreamInfo, mino.Address, session.PacketInfo) { p.count.Add(1) },
			PacketReceived: func(session.StreamInfo, mino.Address, session.PacketInfo) { p.count.Add(1) },
		}))
}

// Stream implements ptypes.OverlayServer.
func (p *portedNode) Stream(stream grpc.BidiStreamingServer[ptypes.Packet, ptypes.Packet]) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	gateway := addressOf(text(md.Get("gateway")[0]))

	table, err := p.table(md)
	if err != nil {
		return err
	}

	p.streams.Add(1)
	defer p.streams.Add(-1)

	conn, err := p.conns.Acquire(gateway)
	if err != nil {
		return err
	}

	defer p.conns.Release(gateway)

	var relay session.Relay
	if len(md.Get(session.HandshakeKey)) > 0 {
		relay = session.NewRelay(stream, gateway, json.NewContext(), conn, callMetadata(md, p.me))
	} else {
		relay = session.NewStreamRelay(session.NewOrchestratorAddress(gateway), stream, json.NewContext())
	}

	sess := p.listen(md, relay, table)
	if err = stream.SendHeader(nil); err != nil {
		return err
	}

	<-stream.Context().Done()
	p.leave(md.Get("streamid")[0], sess)

	return nil
}

// listen gives a parent to the session of its stream, which the first one makes.
func (p *portedNode) listen(md metadata.MD, relay session.Relay, table router.RoutingTable) session.Session {
	p.mu.Lock()
	defer p.mu.Unlock()

	id := md.Get("streamid")[0]
	sess, found := p.sessions[id]

	if !found {
		sess = p.newSession(callMetadata(md, p.me), p.me)
		p.sessions[id] = sess
		p.tasks.Go(func() { _ = p.book.serve(p.address(), ourStream{sess, sess}) })
	}

	ready := make(chan struct{})

	p.tasks.Go(func() { sess.Listen(relay, table, ready) })
	<-ready

	return sess
}

// leave closes the session that has lost its last parent.
func (p *portedNode) leave(id string, sess session.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()

	if sess.GetNumParents() > 0 || p.sessions[id] != sess {
		return
	}

	delete(p.sessions, id)
	sess.Close()
}

// running returns the sessions in which the node is a player.
func (p *portedNode) running() []session.Session {
	p.mu.Lock()
	defer p.mu.Unlock()

	return slices.Collect(maps.Values(p.sessions))
}

// callMetadata are those of the calls of a node that belong to a stream.
func callMetadata(md metadata.MD, me mino.Address) metadata.MD {
	return metadata.Pairs("apiuri", md.Get("apiuri")[0], "streamid", md.Get("streamid")[0],
		"gateway", string(textOf(me)), "protocol", "__UNDEFINED_PROTOCOL__")
}

func (p *portedNode) table(md metadata.MD) (router.RoutingTable, error) {
	if handshake := md.Get(session.HandshakeKey); len(handshake) > 0 {
		hs, err := p.router.GetHandshakeFactory().HandshakeOf(json.NewContext(), []byte(handshake[0]))
		if err != nil {
			return nil, err
		}

		return p.router.GenerateTableFrom(hs)
	}

	var players []text
	for _, t := range md.Get("addr") {
		players = append(players, text(t))
	}

	return p.router.New(mino.NewAddresses(addressesOf(players)...), p.me)
}

// Forward implements ptypes.OverlayServer.
func (p *portedNode) Forward(ctx context.Context, packet *ptypes.Packet) (*ptypes.Ack, error) {
	md, _ := metadata.FromIncomingContext(ctx)

	p.mu.Lock()
	sess := p.sessions[md.Get("streamid")[0]]
	p.mu.Unlock()

	if sess == nil {
		return nil, errors.New("no such stream")
	}

	return sess.RecvPacket(addressOf(text(md.Get("gateway")[0])), packet)
}

// Call implements ptypes.OverlayServer.
func (p *portedNode) Call(_ context.Context, msg *ptypes.Message) (*ptypes.Message, error) {
	return &ptypes.Message{Payload: msg.GetPayload()}, nil
}

func (p *portedNode) call(ctx context.Context, question string, to text) (string, error) {
	conn, err := p.conns.Acquire(addressOf(to))
	if err != nil {
		return "", err
	}

	defer p.conns.Release(addressOf(to))

	ctx = metadata.AppendToOutgoingContext(ctx, "apiuri", uri)
	msg := &ptypes.Message{From: []byte(p.address()), Payload: []byte(question)}

	answer, err := ptypes.NewOverlayClient(conn).Call(ctx, msg)

	return string(answer.GetPayload()), err
}

// open sends to its root by Forward, and reads what comes over the stream by itself.
func (p *portedNode) open(ctx context.Context, players []text) (stream, error) {
	root := addressOf(players[0])
	md := callMetadata(metadata.Pairs("apiuri", uri, "streamid", rand.Text()), p.me)
	open := md.Copy()

	for _, player := range players[1:] {
		open.Append("addr", string(player))
	}

	table, err := p.router.New(mino.NewAddresses(), p.me)
	if err != nil {
		return nil, err
	}

	conn, err := p.conns.Acquire(root)
	if err != nil {
		return nil, err
	}

	rpc, err := ptypes.NewOverlayClient(conn).Stream(metadata.NewOutgoingContext(ctx, open))
	if err == nil {
		_, err = rpc.Header()
	}

	if err != nil {
		p.conns.Release(root)

		return nil, err
	}

	sess := p.newSession(md, session.NewOrchestratorAddress(p.me))
	sess.SetPassive(session.NewRelay(rpc, root, json.NewContext(), conn, md), table)

	p.tasks.Go(func() {
		defer p.conns.Release(root)
		defer sess.Close()

		for {
			packet, err := rpc.Recv()
			if err != nil {
				return
			}

			_, _ = sess.RecvPacket(root, packet)
		}
	})

	return ourStream{sess, sess}, nil
}

// countedConns is a connection manager as an existing overlay has one: it closes a
// connection with its last user, and its length is what a graceful stop waits for.
type countedConns struct {
	dial func(context.Context, string) (net.Conn, error)

	mu   sync.Mutex
	open map[string]*countedConn
}

type countedConn struct {
	*grpc.ClientConn

	users int
}

// Len implements session.ConnectionManager.
func (c *countedConns) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()

	return len(c.open)
}

// Acquire implements session.ConnectionManager.
func (c *countedConns) Acquire(addr mino.Address) (grpc.ClientConnInterface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	host := string(textOf(addr)[2:])

	if c.open[host] == nil {
		conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithContextDialer(c.dial),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1e9)))
		if err != nil {
			return nil, err
		}

		c.open[host] = &countedConn{ClientConn: conn}
	}

	c.open[host].users++

	return c.open[host].ClientConn, nil
}

// Release implements session.ConnectionManager.
func (c *countedConns) Release(addr mino.Address) {
	c.mu.Lock()
	defer c.mu.Unlock()

	host := string(textOf(addr)[2:])
	conn := c.open[host]

	if conn == nil {
		return
	}

	conn.users--

	if conn.users == 0 {
		delete(c.open, host)
		_ = conn.Close()
	}
}

func (c *countedConns) close() {
	c.mu.Lock()
	defer c.mu.Unlock()

	for host, conn := range c.open {
		delete(c.open, host)
		_ = conn.Close()
	}
}
