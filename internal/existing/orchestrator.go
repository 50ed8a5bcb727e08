package existing

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Open opens a stream to the players, the first of whom is the root. The stream ends with
// the context, the node, or the root.
func (n *Node) Open(ctx context.Context, uri string, players ...Address) (*Session, error) {
	if len(players) == 0 {
		return nil, errors.New("no players")
	}

	s := newSession(ctx, n, incoming{uri: uri, stream: rand.Text()}, n.me.Orchestrator())
	md := metadata.Pairs(protocolKey, noProtocol)

	for _, player := range players[1:] {
		md.Append(playerKey, string(player))
	}

	// The root is the child of the orchestrator on the wire, and its parent where packets
	// are routed.
	root := &child{gateway: players[0]}

	stream, err := s.open(s.ctx, root, md)
	if err != nil {
		s.end()

		return nil, fmt.Errorf("open stream at %v: %w", root.gateway, err)
	}

	// Everything but what is for the orchestrator itself goes to the root.
	s.parents = []*parent{{gateway: root.gateway, conn: root.conn, table: newTable(0, s.me, nil)}}
	stop := context.AfterFunc(n.life, s.end)

	n.tasks.Go(func() {
		s.read(stream)
		stop()
		root.end()
		n.conns.release(root.gateway)
	})

	return s, nil
}

// read takes what the root sends, until the stream ends.
func (s *Session) read(stream grpc.ClientStream) {
	for {
		var data frame

		err := stream.RecvMsg(&data)

		switch {
		case status.Code(err) == codes.Unknown && !errors.Is(err, io.EOF):
			s.fail(err)

			return
		case err != nil:
			s.close(err)

			return
		}

		if err = s.take(data); err != nil {
			s.node.oddf("a packet from the root: %v", err)
		}
	}
}

// take reads one packet from the root. The orchestrator routes nothing.
func (s *Session) take(data []byte) error {
	s.node.moved.Add(1)

	serialized, err := decodePacket(data)
	if err != nil {
		return err
	}

	p, err := decodeJSONPacket(serialized)
	if err != nil {
		return err
	}

	for _, dest := range p.to() {
		if dest != s.me {
			return fmt.Errorf("it is for %v", dest)
		}
	}

	s.deliver(p)

	return nil
}
