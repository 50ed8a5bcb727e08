package session_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde/json"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// tinyOverlay is a node of the smallest overlay there is: one procedure, duplex links
// without TLS, and nothing is checked or forgotten. Package minogrpc does all that.
type tinyOverlay struct {
	ptypes.UnimplementedOverlayServer

	me     session.Address
	router router.Router
	conns  *session.ConnManager
	server *grpc.Server

	mu sync.Mutex
	// sessions are those of the streams that the node is a player in, by their id.
	sessions map[string]session.Session
}

// startTiny returns a node on a free port.
func startTiny() *tinyOverlay {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}

	node := &tinyOverlay{
		me:       session.NewAddress("grpc://" + listener.Addr().String()),
		router:   tree.NewRouter(session.AddressFactory{}),
		conns:    session.NewConnManager(),
		server:   grpc.NewServer(grpc.MaxRecvMsgSize(session.MaxFrame + session.DefaultMaxMetadata)),
		sessions: make(map[string]session.Session),
	}

	ptypes.RegisterOverlayServer(node.server, node)

	go func() { _ = node.server.Serve(listener) }()

	return node
}

// stop ends the node, when its streams have.
func (n *tinyOverlay) stop() {
	n.server.GracefulStop()
	_ = n.conns.Close()
}

// Stream is called by the parent of this node in a stream, or by its orchestrator.
func (n *tinyOverlay) Stream(stream grpc.BidiStreamingServer[ptypes.Packet, ptypes.Packet]) error {
	md, _ := metadata.FromIncomingContext(stream.Context())
	gateway := session.AddressFactory{}.FromText([]byte(md.Get("gateway")[0]))
	handshakes := md.Get(session.HandshakeKey)

	if len(handshakes) == 0 {
		gateway = session.NewOrchestratorAddress(gateway)
	}

	relay, ok := session.AcceptRelay(stream, gateway, md)
	if !ok {
		return status.Error(codes.Unimplemented, "only duplex links")
	}

	var table router.RoutingTable

	if !relay.Resumes() {
		var err error
		if table, err = n.table(handshakes, md.Get("addr")); err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
	}

	sess, started := n.join(md)

	registration, err := sess.(session.Registrar).Register(relay, table)
	if err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}

	_ = relay.Accept()

	if started {
		go func() { _ = doubler{}.Stream(sess, sess) }()
	}

	_ = registration.Wait() // Either way this stream is over.

	return nil
}

// table returns who is where: by the handshake of the parent or, at the root, of all the
// players.
func (n *tinyOverlay) table(handshakes, players []string) (router.RoutingTable, error) {
	if len(handshakes) > 0 {
		handshake, err := n.router.GetHandshakeFactory().HandshakeOf(json.NewContext(), []byte(handshakes[0]))
		if err != nil {
			return nil, err
		}

		return n.router.GenerateTableFrom(handshake)
	}

	addrs := make([]mino.Address, len(players))
	for i, text := range players {
		addrs[i] = session.AddressFactory{}.FromText([]byte(text))
	}

	return n.router.New(mino.NewAddresses(addrs...), n.me)
}

// join returns the session of a stream, and whether it is new.
func (n *tinyOverlay) join(md metadata.MD) (sess session.Session, started bool) {
	n.mu.Lock()
	defer n.mu.Unlock()

	id := md.Get("streamid")[0]
	if sess = n.sessions[id]; sess != nil {
		return sess, false
	}

	n.sessions[id] = n.newSession(id, n.me)

	return n.sessions[id], true
}

func (n *tinyOverlay) newSession(id string, me session.Address) session.Session {
	return session.NewSession(metadata.Pairs("streamid", id), me, integers{}, n.router.GetPacketFactory(),
		json.NewContext(), n.conns)
}

// orchestrate opens a stream to the players, the first of whom is the root.
func (n *tinyOverlay) orchestrate(ctx context.Context, id string, players ...session.Address) (session.Session, error) {
	me := session.NewOrchestratorAddress(n.me)
	sess := n.newSession(id, me)

	relay, err := session.DialRelay(ctx, players[0], json.NewContext(), n.router.GetPacketFactory(),
		func(ctx context.Context, offer metadata.MD) (session.OpenStream, error) {
			return n.open(ctx, id, offer, players)
		})
	if err != nil {
		return nil, err
	}

	table, err := n.router.New(mino.NewAddresses(), me)
	if err != nil {
		return nil, err
	}

	registration, err := sess.(session.Registrar).Register(relay, table)
	if err != nil {
		return nil, err
	}

	go func() { _ = registration.Wait() }()

	return sess, nil
}

// open opens the stream to the root, or the next one after a break. The context bounds how long
// that takes, and not how long the stream lasts.
func (n *tinyOverlay) open(setup context.Context, id string, offer metadata.MD, players []session.Address) (
	session.OpenStream, error,
) {
	md := metadata.Join(offer, metadata.Pairs("streamid", id, "gateway", tinyText(n.me)))
	for _, player := range players[1:] {
		md.Append("addr", tinyText(player))
	}

	conn, err := n.conns.Acquire(players[0])
	if err != nil {
		return session.OpenStream{}, err
	}

	ctx, cancel := context.WithCancel(metadata.NewOutgoingContext(context.Background(), md))
	release := func() {
		cancel()
		n.conns.Release(players[0])
	}

	stop := context.AfterFunc(setup, cancel)

	stream, err := ptypes.NewOverlayClient(conn).Stream(ctx)
	if err != nil {
		release()

		return session.OpenStream{}, err
	}

	// A stream that is refused may have no header and no error: Recv has the status.
	header, err := stream.Header()
	if header == nil {
		if err == nil {
			_, err = stream.Recv()
		}

		release()

		return session.OpenStream{}, err
	}

	if !stop() {
		release()

		return session.OpenStream{}, setup.Err()
	}

	return session.OpenStream{Stream: stream, Header: header, Release: release}, nil
}

func tinyText(addr session.Address) string {
	text, _ := addr.MarshalText()

	return string(text)
}

// An overlay of its own: a server, a session for each stream, and a way to open one.
func Example_overlay() {
	nodes := []*tinyOverlay{startTiny(), startTiny(), startTiny()}
	players := []session.Address{nodes[0].me, nodes[1].me, nodes[2].me}

	sess, err := nodes[0].orchestrate(context.Background(), "the id of the stream", players...)
	if err != nil {
		panic(err)
	}

	outcomes := sess.Send(integer(21), players[0], players[1], players[2])
	for failure := range outcomes {
		fmt.Println(failure)
	}

	from := make([]string, 0, len(players))

	for range players {
		addr, msg, err := sess.Recv(context.Background())
		if err != nil {
			panic(err)
		}

		fmt.Println(msg)

		from = append(from, addr.String())
	}

	slices.Sort(from)
	fmt.Println(len(slices.Compact(from)), "players have answered")

	sess.Close()

	for _, node := range nodes {
		node.stop()
	}

	// Output:
	// 42
	// 42
	// 42
	// 3 players have answered
}
