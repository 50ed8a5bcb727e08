package fake

import (
	"context"
	"sync"

	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Peer is the server of a node that a test plays by hand.
type Peer struct {
	ptypes.UnimplementedOverlayServer

	// OnStream runs for each stream after the header, and its return is the end of
	// the stream. Without it a stream lasts until the caller closes it.
	OnStream func(ptypes.Overlay_StreamServer) error

	// Refuse is returned for each stream instead of a header, unless it is nil.
	Refuse error

	// OnForward answers each Forward. Without it the answer is an empty Ack.
	OnForward func(context.Context, *ptypes.Packet) (*ptypes.Ack, error)

	mu       sync.Mutex
	streams  []metadata.MD
	forwards []*ptypes.Packet
}

// NewServer returns a server that the peer answers on.
func (p *Peer) NewServer(opts ...grpc.ServerOption) *grpc.Server {
	srv := grpc.NewServer(opts...)
	ptypes.RegisterOverlayServer(srv, p)

	return srv
}

// Streams returns the metadata of the streams that were opened.
func (p *Peer) Streams() []metadata.MD {
	p.mu.Lock()
	defer p.mu.Unlock()

	return append([]metadata.MD(nil), p.streams...)
}

// Forwards returns the packets that came with Forward.
func (p *Peer) Forwards() []*ptypes.Packet {
	p.mu.Lock()
	defer p.mu.Unlock()

	return append([]*ptypes.Packet(nil), p.forwards...)
}

// Stream implements ptypes.OverlayServer.
func (p *Peer) Stream(stream ptypes.Overlay_StreamServer) error {
	md, _ := metadata.FromIncomingContext(stream.Context())

	p.mu.Lock()
	p.streams = append(p.streams, md)
	p.mu.Unlock()

	if p.Refuse != nil {
		return p.Refuse
	}

	err := stream.SendHeader(nil)
	if err != nil {
		return err
	}

	if p.OnStream != nil {
		return p.OnStream(stream)
	}

	for {
		_, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // The end of the stream is what it waits for.
		}
	}
}

// Forward implements ptypes.OverlayServer.
func (p *Peer) Forward(ctx context.Context, packet *ptypes.Packet) (*ptypes.Ack, error) {
	p.mu.Lock()
	p.forwards = append(p.forwards, packet)
	p.mu.Unlock()

	if p.OnForward == nil {
		return &ptypes.Ack{}, nil
	}

	return p.OnForward(ctx, packet)
}
