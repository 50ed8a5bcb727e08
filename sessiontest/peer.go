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

// Peer is a neighbour that a test plays: a gRPC server that does what its fields say, and runs no session.
// The zero value is friendly. It accepts every stream, keeps it until the caller ends it, and says of
// every packet that it was delivered.
//
// The fields make a hostile peer of it. Do not change them while it serves:
//
//	refuses streams               Refuse: status.Error(codes.PermissionDenied, "no")
//	never sends a stream header   NoHeader: true
//	loses its streams             OnStream: a function that returns
//	never acks                    OnForward: [NeverAck]
//	acks nonsense                 OnForward: [AckNonsense]()
//
// Two other neighbours need no Peer. For a node that accepts connections and never speaks, call
// [Network.Listen] and do not call Accept. For a node that is not there, do not listen.
//
// The methods may be called from several goroutines at once.
type Peer struct {
	ptypes.UnimplementedOverlayServer

	// Refuse is the error of each stream, which then gets no header. Nil refuses none.
	Refuse error

	// NoHeader makes the peer send no header: the caller of a stream waits until it gives up. The peer
	// does not call OnStream then.
	NoHeader bool

	// OnStream runs for each stream after the header. The stream ends when it returns. Without it a
	// stream lasts until the caller closes it.
	OnStream func(ptypes.Overlay_StreamServer) error

	// OnForward answers each Forward. Without it the peer answers with an empty Ack.
	OnForward func(context.Context, *ptypes.Packet) (*ptypes.Ack, error)

	mu       sync.Mutex
	streams  []metadata.MD
	forwards []*ptypes.Packet
}

// Serve serves the peer on a listener, in a goroutine. The returned function ends the goroutine, all
// streams and calls, and the listener. Call it, in a bubble before that ends.
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

// Streams returns the metadata of all streams that callers have opened, also of refused ones, in their
// order.
func (p *Peer) Streams() []metadata.MD {
	p.mu.Lock()
	defer p.mu.Unlock()

	return slices.Clone(p.streams)
}

// Forwards returns the packets of all calls of Forward, in their order.
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
