package minogrpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/minogrpc/internal/codec"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The flow-control windows that both ends of a connection have.
const (
	streamWindow = 4 << 20
	connWindow   = 8 << 20
)

// maxIdle is how long a connection without a call is kept for those who opened it.
const maxIdle = 5 * time.Minute

// maxLogged is how much of a text of another node gets into the log for each refusal, in bytes.
const maxLogged = 200

// overlay is what a node offers to the others.
type overlay struct {
	ptypes.UnimplementedOverlayServer
	*Minogrpc
}

// newServer returns the server with the options of the user and of the node. gRPC lets the last option
// win, so those of the node come last. An option that can be set only once panics.
func (m *Minogrpc) newServer() (*grpc.Server, error) {
	server, err := contain.Call(func() (*grpc.Server, error) {
		return grpc.NewServer(append(slices.Clip(m.serving), m.serverOptions()...)...), nil
	})
	if err != nil {
		return nil, fmt.Errorf("server options: %w; see WithServerOptions", err)
	}

	return server, nil
}

func (m *Minogrpc) serverOptions() []grpc.ServerOption {
	opts := []grpc.ServerOption{
		grpc.Creds(m.serverCredentials()),
		grpc.ForceServerCodecV2(codec.New()),
		grpc.MaxRecvMsgSize(m.maxFrame()),
		grpc.MaxSendMsgSize(m.maxFrame()),
		grpc.MaxHeaderListSize(m.maxHeaderList()),
		grpc.MaxConcurrentStreams(uint32(min(uint64(m.peerStreams)+maxCallsPerConn, math.MaxUint32))),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: maxIdle}),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ConnectionTimeout(acceptTimeout),
		// Stop would wait without end for a handler that hangs.
		grpc.WaitForHandlers(false),
		grpc.InTapHandle(m.screen),
		// gRPC runs these two outside any chain, so that they contain what users bring along.
		grpc.UnaryInterceptor(m.containUnary),
		grpc.StreamInterceptor(m.containStream),
	}

	// As at the other end, in ConnManager: a buffer in front of that of TLS is 32 KiB
	// for nothing on every idle connection.
	if m.own != nil {
		opts = append(opts, grpc.ReadBufferSize(0))
	}

	return opts
}

// connOptions are those of the connections to other nodes. They send no HTTP/2
// pings: a server with the defaults of gRPC closes a connection for them.
func (m *Minogrpc) connOptions() []session.ConnOption {
	return []session.ConnOption{
		session.WithCredentials(m.clientCredentials),
		session.WithDialOptions(m.dialOptions()...),
		session.WithIdleTimeout(m.idle),
	}
}

// dialOptions are those of all connections, whoever makes them.
func (m *Minogrpc) dialOptions() []grpc.DialOption {
	return append([]grpc.DialOption{
		grpc.WithContextDialer(m.dialTCP),
		grpc.WithMaxHeaderListSize(m.maxHeaderList()),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(m.maxFrame()),
			grpc.MaxCallSendMsgSize(m.maxFrame()),
			grpc.ForceCodecV2(codec.New()),
		),
	}, m.dial...)
}

// Stream makes the caller a parent of a stream. The host does that; the node knows the connection.
func (o *overlay) Stream(server grpc.BidiStreamingServer[ptypes.Packet, ptypes.Packet]) error {
	return o.host.Stream(connStream{server})
}

// Forward hands a packet to the stream that it belongs to.
func (o *overlay) Forward(ctx context.Context, p *ptypes.Packet) (*ptypes.Ack, error) {
	return o.host.Forward(ctx, p)
}

// Call asks the handler of a procedure one question.
func (o *overlay) Call(ctx context.Context, msg *ptypes.Message) (*ptypes.Message, error) {
	if err := o.host.Serving(); err != nil {
		return nil, err
	}

	from, err := host.ReadAddress("from", string(msg.GetFrom()))
	if err != nil {
		return nil, err
	}

	if err = o.checkCaller(ctx, from); err != nil {
		return nil, err
	}

	procedure, err := o.host.Lookup(ctx)
	if err != nil {
		return nil, err
	}

	if err = o.authorize(ctx, from, Procedure{URI: procedure.URI(), Access: AccessCall}); err != nil {
		return nil, err
	}

	if err = o.checkSize(msg.GetPayload()); err != nil {
		return nil, err
	}

	answer, err := procedure.Process(ctx, from, msg.GetPayload())
	if err != nil {
		return nil, err
	}

	if err = o.checkSize(answer); err != nil {
		return nil, err
	}

	return &ptypes.Message{From: []byte(o.text), Payload: answer}, nil
}

// message returns a question of this node as it is sent. The error has a status when the message is
// too large.
func (m *Minogrpc) message(msg serde.Message) (*ptypes.Message, error) {
	payload, err := msg.Serialize(m.context)
	if err != nil {
		return nil, fmt.Errorf("serialize message: %w", err)
	}

	if err = m.checkSize(payload); err != nil {
		return nil, err
	}

	return &ptypes.Message{From: []byte(m.text), Payload: payload}, nil
}

// checkSize returns an error with a status for a message above the limit.
func (l *limits) checkSize(payload []byte) error {
	if len(payload) > l.maxMessage {
		return status.Errorf(codes.ResourceExhausted, "message of %d bytes is larger than %d",
			len(payload), l.maxMessage)
	}

	return nil
}

// contain runs what an application has passed to the node. A panic is an error that
// wraps contain.ErrPanic, and is logged.
func (m *Minogrpc) contain(fn func() error) error {
	return contain.Logged(m.logger, fn)
}

// containCall is contain for the call of another node: the log says which stream it is about.
func (m *Minogrpc) containCall(ctx context.Context, fn func() error) error {
	return contain.LoggedTo(func() zerolog.Logger {
		stream := m.streamOf(ctx)

		return stream.Logger(m.plain)
	}, fn)
}

// streamOf returns which stream the call of another node is about, as that node says. Its texts may be long.
func (m *Minogrpc) streamOf(ctx context.Context) session.StreamInfo {
	md, _ := metadata.FromIncomingContext(ctx)
	stream := session.ReadStreamInfo(md, m.me)

	for _, text := range []*string{&stream.Procedure, &stream.Stream, &stream.Protocol} {
		*text = (*text)[:min(len(*text), maxLogged)]
	}

	return stream
}

func (m *Minogrpc) containUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo,
	handler grpc.UnaryHandler,
) (resp any, err error) {
	release, err := m.chargeCall(ctx, req)
	if err == nil {
		defer release()

		err = m.containCall(ctx, func() error {
			resp, err = handler(ctx, req)

			return err
		})
	}

	m.observeCall(ctx, info.FullMethod, err)

	return resp, statusOf(err)
}

func (m *Minogrpc) containStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo,
	handler grpc.StreamHandler,
) error {
	err := m.containCall(stream.Context(), func() error { return handler(srv, stream) })
	m.observeCall(stream.Context(), info.FullMethod, err)

	return statusOf(err)
}

// statusOf returns the error with the status of a panic, if it is one.
func statusOf(err error) error {
	if errors.Is(err, contain.ErrPanic) {
		return status.Error(codes.Internal, err.Error())
	}

	return err
}
