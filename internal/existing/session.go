package existing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// dropped is what a session says of a packet without a parent.
const dropped = "packet is dropped (tried 0 parent-s)"

// Session is one node's part in a stream: as a player, or as the orchestrator.
type Session struct {
	node *Node
	uri  string
	id   string
	me   Address

	// ctx ends with the session. The streams to the children are made of it.
	ctx context.Context
	end context.CancelFunc

	// mu guards what follows.
	mu       sync.Mutex
	parents  []*parent
	children map[Address]*child
	inbox    []packet
	// changed is closed, and replaced, when a receiver should look again.
	changed chan struct{}
	// closed is set with the end, code is that of the last stream, and failed why Recv does
	// not end cleanly.
	closed bool
	code   codes.Code
	failed error
}

// parent is a node above, over which packets go that are for nobody below.
type parent struct {
	gateway Address
	table   *table

	// stream is that of an orchestrator, to which alone packets go over the stream. writing
	// is held during a send.
	stream  grpc.ServerStream
	writing sync.Mutex

	// conn is the connection to any other parent.
	conn *grpc.ClientConn
}

func newSession(ctx context.Context, n *Node, in incoming, me Address) *Session {
	s := &Session{
		node: n, uri: in.uri, id: in.stream, me: me,
		children: make(map[Address]*child),
		changed:  make(chan struct{}),
	}
	s.ctx, s.end = context.WithCancel(ctx)

	return s
}

// enter adds a parent to the session of its stream. The first one makes the session, and
// starts the handler.
func (n *Node) enter(in incoming, p *parent) (*Session, error) {
	h, err := n.handler(in.uri)
	if err != nil {
		return nil, err
	}

	if p.stream == nil {
		p.conn, err = n.conns.acquire(p.gateway)
		if err != nil {
			return nil, err
		}
	}

	n.mu.Lock()
	defer n.mu.Unlock()

	if s := n.sessions[in.stream]; s != nil && s.add(p) {
		return s, nil
	}

	s := newSession(n.life, n, in, n.me)
	s.parents = []*parent{p}
	n.sessions[in.stream] = s

	n.tasks.Go(func() {
		if err := h.Stream(s); err != nil {
			s.fail(err)
		}
	})

	return s, nil
}

// add returns false when the session has ended.
func (s *Session) add(p *parent) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	if !s.closed {
		s.parents = append(s.parents, p)
	}

	return !s.closed
}

// leave removes a parent whose stream has ended. The session ends with the last one.
func (s *Session) leave(p *parent, cause error) {
	s.mu.Lock()
	s.parents = slices.DeleteFunc(s.parents, func(other *parent) bool { return other == p })
	last := len(s.parents) == 0
	s.mu.Unlock()

	if p.conn != nil {
		s.node.conns.release(p.gateway)
	}

	if last {
		s.close(cause)
	}
}

// fail ends the session because its handler has failed.
func (s *Session) fail(cause error) {
	s.mu.Lock()
	if !s.closed {
		s.failed = cause
	}
	s.mu.Unlock()

	s.close(cause)
}

// failure is what the parents are told when the handler has failed.
func (s *Session) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.failed == nil {
		return nil
	}

	return status.Error(codes.Unknown, s.failed.Error())
}

// close ends the session. Only the code Unknown is an unclean end for Recv.
func (s *Session) close(cause error) {
	s.node.mu.Lock()
	if s.node.sessions[s.id] == s {
		delete(s.node.sessions, s.id)
	}
	s.node.mu.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()

	if s.closed {
		return
	}

	s.closed, s.code = true, status.Code(cause)
	s.changedLocked()
	s.end()
}

func (s *Session) changedLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.ctx.Done() }

// Recv returns the next message and its sender. After the end of the session and the last
// message it returns io.EOF, or why the stream has not ended cleanly.
func (s *Session) Recv(ctx context.Context) (from Address, msg []byte, err error) {
	for {
		s.mu.Lock()
		changed := s.changed

		if len(s.inbox) > 0 {
			p := s.inbox[0]
			s.inbox = s.inbox[1:]
			s.mu.Unlock()

			return Address(p.Source), p.Message, nil
		}

		closed, failed := s.closed, s.failed
		s.mu.Unlock()

		if failed != nil {
			return "", nil, fmt.Errorf("stream closed unexpectedly: %w", failed)
		}

		if closed {
			return "", nil, io.EOF
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return "", nil, ctx.Err()
		}
	}
}

// Send sends a message to the nodes, and returns when all of them are settled: a text for
// each failure, in the words of the wire. It waits for as long as the others take.
func (s *Session) Send(msg []byte, to ...Address) []string {
	if texts := s.closing(); texts != nil {
		return texts
	}

	if len(s.above()) == 0 {
		return []string{"packet ignored"}
	}

	var once []Address

	for _, dest := range to {
		if !slices.Contains(once, dest) {
			once = append(once, dest)
		}
	}

	return s.route(newPacket(s.me, once, slices.Clone(msg)))
}

// receive takes a packet that another node has sent.
func (s *Session) receive(p packet) ([]string, error) {
	s.node.moved.Add(1)

	if texts := s.closing(); texts != nil {
		return texts, nil
	}

	if len(s.above()) == 0 {
		return nil, errors.New(dropped)
	}

	return s.route(p), nil
}

// closing returns what a session that has ended says of every packet, nil before.
func (s *Session) closing() []string {
	s.mu.Lock()
	defer s.mu.Unlock()

	if !s.closed {
		return nil
	}

	return []string{fmt.Sprintf("session %v is closing: %v", s.me, s.code)}
}

func (s *Session) above() []*parent {
	s.mu.Lock()
	defer s.mu.Unlock()

	return slices.Clone(s.parents)
}

// deliver puts a packet into the inbox. It returns false when the session has ended, and
// nobody may read that any more.
func (s *Session) deliver(p packet) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.closed {
		return false
	}

	s.inbox = append(s.inbox, p)
	s.changedLocked()

	return true
}
