package sessiontest

import (
	"context"
	"net"
	"slices"
	"sync"

	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Peer is a neighbour that a test plays by hand: a gRPC server that does what its
// fields say instead of running a session. The zero value is a friendly one, which
// accepts every stream, keeps it until the caller ends it, and says of every
// packet that it was delivered.
//
// The fields make it a hostile one, and must not change while it serves:
//
//	refuses streams               Refuse: status.Error(codes.PermissionDenied, "no")
//	never sends a stream header   NoHeader: true
//	loses its streams             OnStream: a function that returns
//	never acks                    OnForward: [NeverAck]
//	acks nonsense                 OnForward: [AckNonsense]()
//
// Two more need no Peer. A node that accepts connections and never speaks is one
// that listens, with [Network.Listen], and does not call Accept. A node that is
// not there is one that does not listen.
//
// Its methods may be called from several goroutines at once.
type Peer struct {
	ptypes.UnimplementedOverlayServer

	// Refuse is returned for each stream instead of a header, unless it is nil.
	Refuse error

	// NoHeader leaves the caller of a stream without a header until it gives up.
	// OnStream is not called.
	NoHeader bool

	// OnStream runs for each stream after the header, and its return is the end of
	// the stream. Without it a stream lasts until the caller closes it.
	OnStream func(ptypes.Overlay_StreamServer) error

	// OnForward answers each Forward. Without it the answer is an empty Ack.
	OnForward func(context.Context, *ptypes.Packet) (*ptypes.Ack, error)

	mu       sync.Mutex
	streams  []metadata.MD
	forwards []*ptypes.Packet
}

// Serve answers on a listener in a goroutine. The returned function ends that, all
// the streams and calls, and the listener; it must be called, and in a bubble
// before that ends.
func (p *Peer) Serve(listener net.Listener, opts ...grpc.ServerOption) (stop func()) {
	srv := grpc.NewServer(opts...)
	ptypes.RegisterOverlayServer(srv, p)

	var serving sync.WaitGroup

	// Its only error is that it was stopped before it began.
	serving.Go(func() { _ = srv.Serve(listener) })

	return func() {
		srv.Stop()
		serving.Wait()
	}
}

// Streams returns the metadata of the streams that were opened, refused ones
// included, in their order.
func (p *Peer) Streams() []metadata.MD {
	p.mu.Lock()
	defer p.mu.Unlock()

	return slices.Clone(p.streams)
}

// Forwards returns the packets that came with Forward, in their order.
func (p *Peer) Forwards() []*ptypes.Packet {
	p.mu.Lock()
	defer p.mu.Unlock()

	return slices.Clone(p.forwards)
}

// Stream implements [ptypes.OverlayServer].
func (p *Peer) Stream(stream ptypes.Overlay_StreamServer) error {
	md, _ := metadata.FromIncomingContext(stream.Context())

	p.mu.Lock()
	p.streams = append(p.streams, md)
	p.mu.Unlock()

	switch {
	case p.Refuse != nil:
		return p.Refuse
	case p.NoHeader:
		<-stream.Context().Done()

		return stream.Context().Err()
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

// Forward implements [ptypes.OverlayServer].
func (p *Peer) Forward(ctx context.Context, packet *ptypes.Packet) (*ptypes.Ack, error) {
	p.mu.Lock()
	p.forwards = append(p.forwards, packet)
	p.mu.Unlock()

	if p.OnForward == nil {
		return &ptypes.Ack{}, nil
	}

	return p.OnForward(ctx, packet)
}
