package minogrpc

import (
	"context"

	"github.com/minogrpc/session"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// The metadata keys that all nodes know, beyond session.HandshakeKey.
const (
	uriKey      = "apiuri"
	streamIDKey = "streamid"
	gatewayKey  = "gateway"
	playerKey   = "addr"
	protocolKey = "protocol"
)

// undefinedProtocol is the tag of the streams that have none.
const undefinedProtocol = "__UNDEFINED_PROTOCOL__"

// maxStreamID bounds the id of a stream, in bytes, because a node remembers it for
// longer than the stream lasts.
const maxStreamID = 256

// maxQuoted is how much of a text that cannot be read is repeated, in bytes.
const maxQuoted = 100

// incoming is what the metadata of a call say about it.
type incoming struct {
	md       metadata.MD
	endpoint *endpoint
	key      streamKey
	gateway  session.Address

	// ancestors are the nodes above the gateway in the tree of a stream.
	ancestors []session.Address
}

// readCall finds the procedure of a call. The errors have a status.
func (m *Minogrpc) readCall(ctx context.Context) (*incoming, error) {
	md, _ := metadata.FromIncomingContext(ctx)

	uri, err := single(md, uriKey)
	if err != nil {
		return nil, err
	}

	ep := m.endpoint(uri)
	if ep == nil {
		return nil, status.Errorf(codes.Unimplemented, "unknown procedure %q", uri)
	}

	return &incoming{md: md, endpoint: ep}, nil
}

// readStreamCall is readCall for the calls that belong to a stream. A stranger learns
// nothing from it: who calls is checked first.
func (m *Minogrpc) readStreamCall(ctx context.Context) (*incoming, error) {
	md, _ := metadata.FromIncomingContext(ctx)

	gateway, err := readGateway(md)
	if err != nil {
		return nil, err
	}

	if err = m.checkCaller(ctx, gateway); err != nil {
		return nil, err
	}

	in, err := m.readCall(ctx)
	if err != nil {
		return nil, err
	}

	in.gateway = gateway

	id, err := single(in.md, streamIDKey)
	if err != nil {
		return nil, err
	}

	if len(id) > maxStreamID {
		return nil, status.Errorf(codes.InvalidArgument, "%s is longer than %d bytes", streamIDKey, maxStreamID)
	}

	in.key = streamKey{uri: in.endpoint.uri, id: id}

	return in, nil
}

// readGateway returns the node that says that it calls.
func readGateway(md metadata.MD) (session.Address, error) {
	text, err := single(md, gatewayKey)
	if err != nil {
		return session.Address{}, err
	}

	return readAddress(gatewayKey, text)
}

// single returns the only value of a key, which must not be empty.
func single(md metadata.MD, key string) (string, error) {
	values := md.Get(key)
	if len(values) != 1 || values[0] == "" {
		return "", status.Errorf(codes.InvalidArgument, "metadata must have one value for %s", key)
	}

	return values[0], nil
}

// readAddress returns the follower form of the address in the metadata.
func readAddress(key, text string) (session.Address, error) {
	addr, err := follower(NewAddressFactory().FromText([]byte(text)))
	if err != nil {
		return session.Address{}, status.Errorf(codes.InvalidArgument, "metadata %s %.*q: %v",
			key, maxQuoted, text, err)
	}

	return addr, nil
}
