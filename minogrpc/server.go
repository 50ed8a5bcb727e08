package minogrpc

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The limits that both ends of a connection have. See the package documentation.
const (
	maxMessage    = 64 << 20
	maxHeaderList = 16 << 20
	streamWindow  = 4 << 20
	connWindow    = 8 << 20
)

// acceptTimeout is how long a client may take for the handshakes of a new
// connection. A stop waits for them.
const acceptTimeout = 10 * time.Second

// overlay is what a node offers to the others.
type overlay struct {
	ptypes.UnimplementedOverlayServer
	*Minogrpc
}

func (m *Minogrpc) newServer() *grpc.Server {
	return grpc.NewServer(
		grpc.Creds(m.serverCredentials()),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxSendMsgSize(maxMessage),
		grpc.MaxHeaderListSize(maxHeaderList),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.ConnectionTimeout(acceptTimeout),
		grpc.UnaryInterceptor(m.containUnary),
		grpc.StreamInterceptor(m.containStream),
	)
}

// connOptions are those of the connections to other nodes. They send no HTTP/2
// pings: a server with the defaults of gRPC closes a connection for them.
func (m *Minogrpc) connOptions() []session.ConnOption {
	dial := append([]grpc.DialOption{
		grpc.WithMaxHeaderListSize(maxHeaderList),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessage),
			grpc.MaxCallSendMsgSize(maxMessage),
		),
	}, m.dial...)

	return []session.ConnOption{
		session.WithCredentials(m.clientCredentials),
		session.WithDialOptions(dial...),
		session.WithIdleTimeout(m.idle),
	}
}

// Call asks the handler of a procedure one question.
func (o *overlay) Call(ctx context.Context, msg *ptypes.Message) (*ptypes.Message, error) {
	if err := o.refuseWhenStopped(); err != nil {
		return nil, err
	}

	in, err := o.readCall(ctx)
	if err != nil {
		return nil, err
	}

	from, err := readAddress("from", string(msg.GetFrom()))
	if err != nil {
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
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}

	return reply, nil
}

// message returns a question or an answer of this node as it is sent. The payload
// is empty for a nil one.
func (m *Minogrpc) message(msg serde.Message) (*ptypes.Message, error) {
	if msg == nil {
		return &ptypes.Message{From: []byte(m.text)}, nil
	}

	payload, err := msg.Serialize(m.context)
	if err != nil {
		return nil, fmt.Errorf("serialize message: %w", err)
	}

	return &ptypes.Message{From: []byte(m.text), Payload: payload}, nil
}

// Forward hands a packet to the stream that it belongs to. It returns when the
// outcome of every destination is known.
func (o *overlay) Forward(ctx context.Context, p *ptypes.Packet) (*ptypes.Ack, error) {
	in, err := o.readStreamCall(ctx)
	if err != nil {
		return nil, err
	}

	st := o.streams.find(in.key)
	if st == nil {
		return nil, status.Error(codes.NotFound, "unknown stream")
	}

	ack, err := st.RecvPacket(in.gateway, p)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}

	return ack, nil
}

// refuseWhenStopped returns an error with a status once the node is being stopped.
func (m *Minogrpc) refuseWhenStopped() error {
	if m.life.closing.Err() != nil {
		return status.Error(codes.Unavailable, errStopped.Error())
	}

	return nil
}

// contain runs the function and turns a panic into an error, so that what an
// application passes to the node cannot end the process.
func (m *Minogrpc) contain(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			m.logger.Error().Interface("panic", r).Bytes("stack", debug.Stack()).Msg("panic contained")

			err = fmt.Errorf("panic: %v", r)
		}
	}()

	return fn()
}

func (m *Minogrpc) containUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo,
	handler grpc.UnaryHandler,
) (resp any, err error) {
	err = m.contain(func() error {
		resp, err = handler(ctx, req)

		return err
	})

	return resp, err
}

func (m *Minogrpc) containStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo,
	handler grpc.StreamHandler,
) error {
	return m.contain(func() error { return handler(srv, stream) })
}
