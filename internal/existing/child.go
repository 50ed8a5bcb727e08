package existing

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// setupTimeout is how long a child may take to send the header of a stream, by default.
const setupTimeout = 10 * time.Second

var (
	errNoHeader = errors.New("no header")

	// bothWays is what a client has to know of the call that opens a stream.
	bothWays = grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
)

// child is a neighbour below, with the stream that makes this node its parent.
type child struct {
	gateway Address

	// ready is closed when the set-up is over. Then conn and err do not change any more.
	ready chan struct{}
	conn  *grpc.ClientConn
	err   error

	end context.CancelFunc
}

// childAt returns the child, after its header. The first packet for it opens the stream,
// and those that come meanwhile wait.
func (s *Session) childAt(gateway Address, t *table) (*child, error) {
	s.mu.Lock()
	c, found := s.children[gateway]

	if !found {
		c = &child{gateway: gateway, ready: make(chan struct{})}
		s.children[gateway] = c
	}
	s.mu.Unlock()

	if !found {
		c.err = s.openChild(c, t)
		close(c.ready)
	}

	<-c.ready

	return c, c.err
}

// openChild opens the stream to a child.
func (s *Session) openChild(c *child, t *table) error {
	hs, err := t.handshakeFor(c.gateway).encode()
	if err != nil {
		return err
	}

	md := metadata.Pairs(handshakeKey, string(hs), protocolKey, noProtocol)

	stream, err := s.open(s.ctx, c, md)
	if err != nil {
		s.forget(c)

		return err
	}

	s.node.tasks.Go(func() {
		// A child that exists writes nothing, so that its stream is good for its end only.
		for stream.RecvMsg(new(frame)) == nil {
			s.node.oddf("%v has sent a packet over the stream of its parent", c.gateway)
		}

		s.drop(c)
	})

	return nil
}

// open opens a stream at a neighbour and waits for its header.
func (s *Session) open(ctx context.Context, c *child, md metadata.MD) (grpc.ClientStream, error) {
	conn, err := s.node.conns.acquire(c.gateway)
	if err != nil {
		return nil, err
	}

	ctx, c.end = context.WithCancel(outgoing(ctx, s.metadata(), md))
	timer := time.AfterFunc(s.node.cfg.Setup, c.end)

	stream, err := openStream(ctx, conn)
	if err == nil && !timer.Stop() {
		err = errNoHeader
	}

	if err != nil {
		timer.Stop()
		c.end()
		s.node.conns.release(c.gateway)

		return nil, err
	}

	c.conn = conn

	return stream, nil
}

// openStream returns a stream that has been accepted. One that has been refused has no
// header, and says why where packets are read.
func openStream(ctx context.Context, conn *grpc.ClientConn) (grpc.ClientStream, error) {
	stream, err := conn.NewStream(ctx, &bothWays, method("Stream"))
	if err != nil {
		return nil, err
	}

	header, err := stream.Header()
	if err == nil && header == nil {
		err = stream.RecvMsg(new(frame))
		if err == nil {
			err = errNoHeader
		}
	}

	return stream, err
}

// drop ends the stream to a child, if that has not happened yet. There is no goodbye.
func (s *Session) drop(c *child) {
	if s.forget(c) {
		c.end()
		s.node.conns.release(c.gateway)
	}
}

// forget returns false if somebody else has forgotten the child before.
func (s *Session) forget(c *child) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.children[c.gateway] != c {
		return false
	}

	delete(s.children, c.gateway)

	return true
}
