package minogrpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde"
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

// overlay is what a node offers to the others.
type overlay struct {
	ptypes.UnimplementedOverlayServer
	*Minogrpc
}

func (m *Minogrpc) newServer() *grpc.Server {
	opts := []grpc.ServerOption{
		grpc.Creds(m.serverCredentials()),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(m.maxFrame()),
		grpc.MaxSendMsgSize(m.maxFrame()),
		grpc.MaxHeaderListSize(m.maxHeaderList()),
		grpc.MaxConcurrentStreams(uint32(min(uint64(m.peerStreams)+maxCallsPerConn, math.MaxUint32))),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: maxIdle}),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ConnectionTimeout(acceptTimeout),
		grpc.InTapHandle(m.screen),
		grpc.UnaryInterceptor(m.containUnary),
		grpc.StreamInterceptor(m.containStream),
	}

	// As at the other end, in ConnManager: a buffer in front of that of TLS is 32 KiB
	// for nothing on every idle connection.
	if m.cert != nil {
		opts = append(opts, grpc.ReadBufferSize(0))
	}

	return grpc.NewServer(opts...)
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
			grpc.ForceCodecV2(newCodec()),
		),
	}, m.dial...)
}

// Call asks the handler of a procedure one question.
func (o *overlay) Call(ctx context.Context, msg *ptypes.Message) (*ptypes.Message, error) {
	if err := o.refuseWhenStopped(); err != nil {
		return nil, err
	}

	from, err := readAddress("from", string(msg.GetFrom()))
	if err != nil {
		return nil, err
	}

	if err = o.checkCaller(ctx, from); err != nil {
		return nil, err
	}

	in, err := o.readCall(ctx)
	if err != nil {
		return nil, err
	}

	if err = o.authorize(ctx, from, Procedure{URI: in.endpoint.uri, Access: AccessCall}); err != nil {
		return nil, err
	}

	if err = o.checkSize(msg.GetPayload()); err != nil {
		return nil, err
	}

	question, err := in.endpoint.factory.Deserialize(o.context, msg.GetPayload())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "message: %v", err)
	}

	answer, err := in.endpoint.handler.Process(mino.Request{Address: from, Message: question})
	if err != nil {
		return nil, status.Error(codes.Unknown, err.Error())
	}

	reply, err := o.message(answer)

	switch {
	case err == nil:
		return reply, nil
	case status.Code(err) == codes.ResourceExhausted:
		return nil, err
	default:
		return nil, status.Error(codes.Internal, err.Error())
	}
}

// message returns a question or an answer of this node as it is sent. The payload of a
// nil message is empty. The error has a status when the message is too large.
func (m *Minogrpc) message(msg serde.Message) (*ptypes.Message, error) {
	if msg == nil {
		return &ptypes.Message{From: []byte(m.text)}, nil
	}

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

// Forward hands a packet to the stream that it belongs to. It returns when the
// outcome of every destination is known.
func (o *overlay) Forward(ctx context.Context, p *ptypes.Packet) (*ptypes.Ack, error) {
	ack, taken, err := o.forward(ctx, p)
	if err != nil && !taken {
		_ = grpc.SetTrailer(ctx, metadata.Pairs(session.LinkKey, session.LinkRefused)) // The call is not over.
	}

	return ack, err
}

// forward also tells whether the packet may have been delivered or passed on, if there is an error.
func (o *overlay) forward(ctx context.Context, p *ptypes.Packet) (ack *ptypes.Ack, taken bool, err error) {
	in, err := o.readStreamCall(ctx)
	if err != nil {
		return nil, false, err
	}

	st := o.streams.find(in.key)
	if st == nil {
		return nil, false, status.Error(codes.NotFound, "unknown stream")
	}

	ack, err = st.RecvPacket(in.gateway, p)
	taken = !errors.Is(err, session.ErrNotTaken)

	switch {
	case errors.Is(err, session.ErrStranger) && !errors.Is(err, session.ErrSource):
		// The caller looks for another way. A lie that it may only pass on costs the packet.
		return nil, taken, status.Error(codes.PermissionDenied, err.Error())
	case errors.Is(err, session.ErrClosed):
		return nil, taken, status.Error(codes.Unavailable, err.Error())
	case err != nil:
		return nil, taken, status.Error(codes.InvalidArgument, err.Error())
	default:
		return ack, taken, nil
	}
}

// refuseWhenStopped returns an error with a status once the node is being stopped.
func (m *Minogrpc) refuseWhenStopped() error {
	if m.life.closing.Err() != nil {
		return status.Error(codes.Unavailable, errStopped.Error())
	}

	return nil
}

// contain runs what an application has passed to the node. A panic is an error that
// wraps contain.ErrPanic, and is logged.
func (m *Minogrpc) contain(fn func() error) error {
	_, err := contain.Call(func() (struct{}, error) { return struct{}{}, fn() })

	// The error and the log may be somebody else's, too.
	_ = contain.Do(func() {
		failure, ok := errors.AsType[*contain.PanicError](err)
		if ok {
			m.logger.Error().Err(failure).Bytes("stack", failure.Stack).Msg("panic contained")
		}
	})

	return err
}

func (m *Minogrpc) containUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo,
	handler grpc.UnaryHandler,
) (resp any, err error) {
	release, err := m.chargeCall(ctx, req)
	if err == nil {
		defer release()

		err = m.contain(func() error {
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
	err := m.contain(func() error { return handler(srv, stream) })
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
