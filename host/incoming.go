package host

import (
	"context"

	"github.com/minogrpc/session"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxStreamID bounds the id of a stream, in bytes, because a node remembers it for
// longer than the stream lasts.
const maxStreamID = 256

// incoming is what the metadata of a call say about it.
type incoming struct {
	md        metadata.MD
	procedure *Procedure
	key       streamKey
	gateway   session.Address

	// ancestors are the nodes above the gateway in the tree of a stream.
	ancestors []session.Address
	// orchestrator is the node that has opened the stream, as the caller says. It is nil if the caller
	// does not say it.
	orchestrator *session.Address
}

// readCall reads a call that belongs to a stream. A stranger learns nothing from it: the policy
// checks the caller first. The errors have a status.
func (h *Host) readCall(ctx context.Context, md metadata.MD) (*incoming, error) {
	gateway, err := ReadGateway(md)
	if err != nil {
		return nil, err
	}

	if err = h.policy.identify(ctx, gateway); err != nil {
		return nil, err
	}

	procedure, err := h.lookup(md)
	if err != nil {
		return nil, err
	}

	id, err := single(md, session.StreamIDKey)
	if err != nil {
		return nil, err
	}

	if len(id) > maxStreamID {
		return nil, status.Errorf(codes.InvalidArgument, "%s is longer than %d bytes", session.StreamIDKey, maxStreamID)
	}

	return &incoming{
		md: md, procedure: procedure, key: streamKey{uri: procedure.uri, id: id}, gateway: gateway,
	}, nil
}

// request returns what the policy decides about.
func (in *incoming) request(role Role, account Account) Request {
	return Request{Caller: in.gateway, Role: role, Procedure: in.key.uri, Stream: in.key.id, Account: account}
}

// role returns what the caller of Stream wants to be: only a parent sends a handshake.
func (in *incoming) role() Role {
	if len(in.md.Get(session.HandshakeKey)) == 0 {
		return RoleOrchestrator
	}

	return RoleParent
}
