package worlds_test

import (
	"context"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde/json"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// dialling returns a session that can dial these neighbours and nobody else.
func (w *world) dialling(me mino.Address, names ...string) (session.Session, map[string]*neighbour) {
	return w.diallingWith(nil, me, names...)
}

// diallingWith is dialling with options.
func (w *world) diallingWith(opts []session.Option, me mino.Address, names ...string) (
	session.Session, map[string]*neighbour,
) {
	conns := make(playedConns)
	for _, name := range names {
		conns[name] = &neighbour{world: w, addr: addr(name)}
	}

	sess := session.NewSession(nil, me, fake.MessageFactory{}, routerOf(3).GetPacketFactory(), json.NewContext(), conns,
		opts...)

	w.cleanup = append(w.cleanup, func() {
		sess.Close()
		<-sess.(session.Lifecycle).Done()
		require.Zero(w, conns.Len())
	})

	return sess, conns
}

// playedConns is a session.ConnectionManager that finds neighbours by their names.
type playedConns map[string]*neighbour

func (c playedConns) get(to mino.Address) *neighbour {
	for _, n := range c {
		if n.addr.Equal(to) {
			return n
		}
	}

	return nil
}

// Len implements session.ConnectionManager.
func (c playedConns) Len() int {
	held := 0
	for _, n := range c {
		n.mu.Lock()
		held += n.held
		n.mu.Unlock()
	}

	return held
}

// Acquire implements session.ConnectionManager.
func (c playedConns) Acquire(to mino.Address) (grpc.ClientConnInterface, error) {
	n := c.get(to)
	if n == nil {
		return nil, status.Error(codes.Unavailable, "nobody is there")
	}

	n.mu.Lock()
	defer n.mu.Unlock()

	n.held++

	return playedConn{n}, nil
}

// Release implements session.ConnectionManager.
func (c playedConns) Release(to mino.Address) {
	n := c.get(to)

	n.mu.Lock()
	defer n.mu.Unlock()

	n.held--
}

// Evict implements session.ConnectionEvictor.
func (c playedConns) Evict(to mino.Address) {
	n := c.get(to)

	n.mu.Lock()
	defer n.mu.Unlock()

	n.evicted++
}

// playedConn is a connection to a neighbour that takes only streams.
type playedConn struct{ *neighbour }

// Invoke implements grpc.ClientConnInterface.
func (playedConn) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return status.Error(codes.Unimplemented, "the link is duplex")
}

// NewStream implements grpc.ClientConnInterface.
func (c playedConn) NewStream(ctx context.Context, _ *grpc.StreamDesc, _ string, _ ...grpc.CallOption) (
	grpc.ClientStream, error,
) {
	md, _ := metadata.FromOutgoingContext(ctx)

	opened, err := c.accept(ctx, md)
	if err != nil {
		return nil, err
	}

	context.AfterFunc(ctx, opened.Release)

	return clientStream{opened.Stream.(openerStream), opened.Header}, nil
}

// clientStream is the stream that gRPC gives to its opener.
type clientStream struct {
	openerStream

	header metadata.MD
}

// Header implements grpc.ClientStream.
func (s clientStream) Header() (metadata.MD, error) { return s.header, nil }

// Trailer implements grpc.ClientStream.
func (clientStream) Trailer() metadata.MD { return nil }

// SendMsg implements grpc.ClientStream.
func (s clientStream) SendMsg(m any) error { return s.Send(m.(*ptypes.Packet)) }

// RecvMsg implements grpc.ClientStream.
func (s clientStream) RecvMsg(m any) error {
	packet, err := s.Recv()
	if err == nil {
		proto.Merge(m.(*ptypes.Packet), packet)
	}

	return err
}
