package host_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// Overlay has a listener in memory for each node, by the host of its address.
type Overlay map[string]*bufconn.Listener

// Node is a node of the overlay. It implements [mino.Mino] and ptypes.OverlayServer; the host has
// what both need for streams. There is no TLS, and nobody is refused.
type Node struct {
	*host.Host

	conns  *session.ConnManager
	server *grpc.Server
	path   host.Path
}

// Start returns a node that serves. Register its procedures before other nodes call them.
func (o Overlay) Start(name string) Node {
	listener := bufconn.Listen(1 << 20)
	o[name] = listener

	dial := func(ctx context.Context, name string) (net.Conn, error) { return o[name].DialContext(ctx) }
	conns := session.NewConnManager(
		session.WithIdleTimeout(time.Minute), // or each call makes a connection
		session.WithDialOptions(grpc.WithContextDialer(dial),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(host.DefaultMaxFrame))))
	n := Node{
		Host:   host.New(session.NewAddress("grpc://"+name), tree.NewRouter(session.AddressFactory{}), conns),
		conns:  conns,
		server: grpc.NewServer(grpc.MaxRecvMsgSize(host.DefaultMaxFrame)),
	}
	ptypes.RegisterOverlayServer(n.server, n)

	go func() { _ = n.server.Serve(listener) }() // Stop ends it.

	return n
}

// Stop ends the node. The error names what still runs after two seconds.
func (n Node) Stop() error {
	return errors.Join(n.Host.Stop(2*time.Second, n.server), n.conns.Close())
}

// WithSegment implements mino.Mino.
func (n Node) WithSegment(segment string) mino.Mino {
	n.path = n.path.With(segment)

	return n
}

// CreateRPC implements mino.Mino.
func (n Node) CreateRPC(name string, h mino.Handler, f serde.Factory) (mino.RPC, error) {
	procedure, err := n.Register(n.path, name, h, f)

	return rpc{procedure, n}, err
}

// Call implements ptypes.OverlayServer: it answers the question of another node.
func (n Node) Call(ctx context.Context, question *ptypes.Message) (*ptypes.Message, error) {
	procedure, err := n.Lookup(ctx)
	if err != nil {
		return nil, err
	}

	answer, err := procedure.Process(ctx, n.GetAddressFactory().FromText(question.GetFrom()), question.GetPayload())

	return &ptypes.Message{Payload: answer}, err
}

// rpc implements mino.RPC. Its Stream is that of the procedure.
type rpc struct {
	*host.Procedure

	node Node
}

// Call implements mino.RPC: it asks each of the players.
func (r rpc) Call(ctx context.Context, req serde.Message, players mino.Players) (<-chan mino.Response, error) {
	from, _ := r.node.GetAddress().MarshalText() // It never fails.

	payload, err := r.Encode(req)
	if err != nil {
		return nil, err
	}

	return r.Ask(ctx, players, func(ctx context.Context, to mino.Address) (serde.Message, error) {
		conn, err := r.node.conns.Acquire(to)
		if err != nil {
			return nil, err
		}
		defer r.node.conns.Release(to)

		answer, err := ptypes.NewOverlayClient(conn).Call(ctx, &ptypes.Message{From: from, Payload: payload})
		if err != nil {
			return nil, err
		}

		return r.Decode(answer.GetPayload())
	})
}

// An overlay of its own: a server and connections for each node, and a host. The application knows
// package mino, and one error of package session.
func Example_overlay() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	overlay := make(Overlay)
	nodes := []Node{overlay.Start("a:1"), overlay.Start("b:1"), overlay.Start("c:1")}

	if err := application(ctx, nodes[0], nodes[1], nodes[2]); err != nil {
		fmt.Println("the application has failed:", err)
	}

	for _, n := range nodes {
		fmt.Println(n.GetAddress(), "stops:", n.Stop())
	}

	// Output:
	// call: 8
	// call: 8
	// call: 8
	// stream: 42
	// stream: 42
	// stream: 42
	// grpc://a:1 stops: <nil>
	// grpc://b:1 stops: <nil>
	// grpc://c:1 stops: <nil>
}
