package fake

import (
	"context"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
)

// Stream is a session.PacketStream without a network: a test feeds what it
// receives and looks at what was sent.
type Stream struct {
	ctx    context.Context
	in     chan *ptypes.Packet
	ended  chan struct{}
	cause  error
	once   sync.Once
	onSend func(*ptypes.Packet) error

	mu   sync.Mutex
	sent []*ptypes.Packet
}

// NewStream returns a stream. onSend, which may be nil, decides what Send returns.
func NewStream(onSend func(*ptypes.Packet) error) *Stream {
	return &Stream{
		ctx:    context.Background(),
		in:     make(chan *ptypes.Packet),
		ended:  make(chan struct{}),
		onSend: onSend,
	}
}

// Feed makes Recv return a packet, and waits until it has.
func (s *Stream) Feed(p *ptypes.Packet) {
	select {
	case s.in <- p:
	case <-s.ended:
	}
}

// End makes Recv return the error from now on.
func (s *Stream) End(cause error) {
	s.once.Do(func() {
		s.cause = cause
		close(s.ended)
	})
}

// Sent returns what was sent without an error.
func (s *Stream) Sent() []*ptypes.Packet {
	s.mu.Lock()
	defer s.mu.Unlock()

	return append([]*ptypes.Packet(nil), s.sent...)
}

// Context implements session.PacketStream.
func (s *Stream) Context() context.Context {
	return s.ctx
}

// Send implements session.PacketStream.
func (s *Stream) Send(p *ptypes.Packet) error {
	if s.onSend != nil {
		err := s.onSend(p)
		if err != nil {
			return err
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	s.sent = append(s.sent, p)

	return nil
}

// Recv implements session.PacketStream.
func (s *Stream) Recv() (*ptypes.Packet, error) {
	select {
	case p := <-s.in:
		return p, nil
	case <-s.ended:
		return nil, s.cause
	}
}

// Relay is a session.Relay without a network.
type Relay struct {
	addr   mino.Address
	stream *Stream
	onSend func(context.Context, router.Packet) (*ptypes.Ack, error)

	mu   sync.Mutex
	sent []router.Packet
}

// NewRelay returns a relay to an address. onSend, which may be nil, decides what
// Send returns.
func NewRelay(addr mino.Address, onSend func(context.Context, router.Packet) (*ptypes.Ack, error)) *Relay {
	return &Relay{addr: addr, stream: NewStream(nil), onSend: onSend}
}

// End ends the stream of the relay.
func (r *Relay) End(cause error) {
	r.stream.End(cause)
}

// Feed makes a packet come over the stream of the relay.
func (r *Relay) Feed(p *ptypes.Packet) {
	r.stream.Feed(p)
}

// Sent returns the packets that were given to Send, whatever became of them.
func (r *Relay) Sent() []router.Packet {
	r.mu.Lock()
	defer r.mu.Unlock()

	return append([]router.Packet(nil), r.sent...)
}

// GetDistantAddress implements session.Relay.
func (r *Relay) GetDistantAddress() mino.Address {
	return r.addr
}

// Stream implements session.Relay.
func (r *Relay) Stream() session.PacketStream {
	return r.stream
}

// Send implements session.Relay.
func (r *Relay) Send(ctx context.Context, p router.Packet) (*ptypes.Ack, error) {
	r.mu.Lock()
	r.sent = append(r.sent, p)
	r.mu.Unlock()

	if r.onSend == nil {
		return &ptypes.Ack{}, nil
	}

	return r.onSend(ctx, p)
}

// Close implements session.Relay.
func (r *Relay) Close() error {
	return nil
}
