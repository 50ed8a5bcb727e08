package existing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The names of the service and of its metadata.
const (
	serviceName = "ptypes.Overlay"

	uriKey       = "apiuri"
	streamKey    = "streamid"
	gatewayKey   = "gateway"
	playerKey    = "addr"
	handshakeKey = "handshake"
	protocolKey  = "protocol"

	// noProtocol is the tag of a stream that has none.
	noProtocol = "__UNDEFINED_PROTOCOL__"
)

// method is the name of a call of the service.
func method(name string) string { return "/" + serviceName + "/" + name }

// server is what gRPC checks a registered service for.
type server interface{ Address() Address }

// nodeOf returns what was registered, which is a node.
func nodeOf(registered any) *Node {
	n, _ := registered.(*Node)

	return n
}

// service describes what a node serves. There is no generated code, because the messages
// are read and written by hand.
var service = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*server)(nil),
	Methods: []grpc.MethodDesc{
		unary("Join", (*Node).join),
		unary("Share", (*Node).share),
		unary("Call", (*Node).call),
		unary("Forward", (*Node).forward),
	},
	Streams: []grpc.StreamDesc{{
		StreamName:    "Stream",
		Handler:       func(n any, stream grpc.ServerStream) error { return nodeOf(n).stream(stream) },
		ServerStreams: true,
		ClientStreams: true,
	}},
}

// unary describes a call that takes a message and answers with one.
func unary(name string, answer func(n *Node, ctx context.Context, request []byte) ([]byte, error)) grpc.MethodDesc {
	return grpc.MethodDesc{
		MethodName: name,
		Handler: func(n any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var request frame
			if err := read(&request); err != nil {
				return nil, err
			}

			reply, err := answer(nodeOf(n), ctx, request)

			return (*frame)(&reply), err
		},
	}
}

// incoming is what the metadata of a call say.
type incoming struct {
	uri, stream string
	gateway     Address
	players     []Address
	handshake   []string
}

func readIncoming(ctx context.Context) (incoming, error) {
	md, _ := metadata.FromIncomingContext(ctx)

	in := incoming{
		uri:       first(md.Get(uriKey)),
		stream:    first(md.Get(streamKey)),
		gateway:   Address(first(md.Get(gatewayKey))),
		handshake: md.Get(handshakeKey),
	}

	for _, text := range md.Get(playerKey) {
		in.players = append(in.players, Address(text))
	}

	if in.stream == "" || in.gateway.Host() == "" {
		return incoming{}, fmt.Errorf("stream %q of gateway %q", in.stream, in.gateway)
	}

	return in, nil
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}

	return values[0]
}

// stream registers a parent and lasts as long as that. Whatever comes over it is its end.
func (n *Node) stream(stream grpc.ServerStream) error {
	in, err := readIncoming(stream.Context())
	if err != nil {
		return err
	}

	p, err := n.newParent(in, stream)
	if err != nil {
		return err
	}

	s, err := n.enter(in, p)
	if err != nil {
		return err
	}

	// The caller waits for the header, which says that the parent is registered.
	err = stream.SendHeader(nil)
	if err == nil {
		err = n.awaitEnd(stream, s, p)
	}

	s.leave(p, err)

	return s.failure()
}

// awaitEnd returns why the stream of a parent has ended, nil where the caller has closed it.
func (n *Node) awaitEnd(stream grpc.ServerStream, s *Session, p *parent) error {
	ended := make(chan error, 1)

	// RecvMsg returns by the time that this call has ended.
	n.tasks.Go(func() { ended <- stream.RecvMsg(new(frame)) })

	select {
	case err := <-ended:
		if err == nil {
			n.oddf("%v has sent a packet over its stream, which ends that", p.gateway)
		}

		if errors.Is(err, io.EOF) {
			return nil
		}

		return err
	case <-s.ctx.Done():
		return nil
	}
}

// newParent returns the parent that opens a stream: an orchestrator, if it brings no
// handshake.
func (n *Node) newParent(in incoming, stream grpc.ServerStream) (*parent, error) {
	if len(in.handshake) == 0 {
		p := &parent{gateway: in.gateway.Orchestrator(), stream: stream}
		p.table = newTable(n.cfg.Height, n.me, in.players)
		p.table.orchestrator, p.table.bounces = p.gateway, n.cfg.Bounces

		return p, nil
	}

	hs, err := decodeHandshake([]byte(in.handshake[0]))
	if err != nil {
		return nil, err
	}

	return &parent{gateway: in.gateway, table: newTable(hs.Height, n.me, addressesOf(hs.Addresses))}, nil
}

// forward hands a packet to the session that it is for.
func (n *Node) forward(ctx context.Context, request []byte) ([]byte, error) {
	in, err := readIncoming(ctx)
	if err != nil {
		return nil, err
	}

	serialized, err := decodePacket(request)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}

	p, err := decodeJSONPacket(serialized)
	if err != nil {
		return nil, err
	}

	n.mu.Lock()
	s := n.sessions[in.stream]
	n.mu.Unlock()

	if s == nil {
		return nil, fmt.Errorf("no stream %q", in.stream)
	}

	texts, err := s.receive(p)

	answer := ack{errors: texts}

	return answer.encode(), err
}

// call asks the handler of a procedure.
func (n *Node) call(ctx context.Context, request []byte) ([]byte, error) {
	md, _ := metadata.FromIncomingContext(ctx)

	h, err := n.handler(first(md.Get(uriKey)))
	if err != nil {
		return nil, err
	}

	var question message
	if err = question.decode(request); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}

	answer, err := h.Process(Address(question.from), slices.Clone(question.payload))
	if err != nil {
		return nil, err
	}

	reply := message{from: []byte(n.me), payload: answer}

	return reply.encode(), nil
}

// Call asks one node a question.
func (n *Node) Call(ctx context.Context, uri string, question []byte, to Address) ([]byte, error) {
	conn, err := n.conns.acquire(to)
	if err != nil {
		return nil, err
	}

	defer n.conns.release(to)

	ctx = metadata.AppendToOutgoingContext(ctx, uriKey, uri)

	request := message{from: []byte(n.me), payload: question}

	data, err := invoke(ctx, conn, "Call", request.encode())
	if err != nil {
		return nil, err
	}

	var answer message

	err = answer.decode(data)

	return answer.payload, err
}

// invoke makes a call of the service.
func invoke(ctx context.Context, conn *grpc.ClientConn, name string, request []byte) ([]byte, error) {
	var reply frame

	err := conn.Invoke(ctx, method(name), (*frame)(&request), &reply)

	return reply, err
}
