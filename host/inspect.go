package host

import (
	"context"

	"github.com/minogrpc/session"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// errNotAbove is the answer to a node that asks about a stream, and is not the parent in it. It is the same
// for a stream that the node does not know.
var errNotAbove = status.Error(codes.PermissionDenied, "the caller is not the parent in such a stream")

// Inspect returns what this node, as a player, knows of the stream that the metadata of a call name. Only the
// parent in that stream may ask, once [Policy] Identify has let it pass. The error has a status.
func (h *Host) Inspect(ctx context.Context) (Stream, error) {
	if err := h.Serving(); err != nil {
		return Stream{}, err
	}

	md, _ := metadata.FromIncomingContext(ctx)

	in, err := h.readCall(ctx, md)
	if err != nil {
		return Stream{}, err
	}

	st := h.streams.find(in.key)
	if st == nil || session.FollowerOf(st.Parent()) != in.gateway {
		return Stream{}, errNotAbove
	}

	var snap Stream

	st.inspect(&snap)

	return snap, nil
}
