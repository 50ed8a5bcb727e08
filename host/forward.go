package host

import (
	"context"
	"errors"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// errUnknownStream is the answer to a packet of a stream in which the node does not take part.
var errUnknownStream = status.Error(codes.NotFound, "unknown stream")

// Forward implements [ptypes.OverlayServer]. It gives a packet to the stream that the metadata name, and
// returns when the outcome of every destination is known. Its errors have a gRPC status.
func (h *Host) Forward(ctx context.Context, p *ptypes.Packet) (ack *ptypes.Ack, err error) {
	// After a panic nobody knows whether the packet was taken.
	taken := true

	err = h.guard(ctx, func() (err error) {
		ack, taken, err = h.forward(ctx, p)

		return err
	})
	if err != nil && !taken {
		// It cannot fail, because the call is not over.
		_ = grpc.SetTrailer(ctx, metadata.Pairs(session.LinkKey, session.LinkRefused))
	}

	return ack, err
}

// forward is Forward without containment. If there is an error, taken tells whether the packet may have
// been delivered or passed on all the same.
func (h *Host) forward(ctx context.Context, p *ptypes.Packet) (ack *ptypes.Ack, taken bool, err error) {
	md, _ := metadata.FromIncomingContext(ctx)

	in, err := h.readCall(ctx, md)
	if err != nil {
		return nil, false, err
	}

	if err = h.policy.allow(ctx, in.request(RoleFeeder, nil)); err != nil {
		return nil, false, err
	}

	st := h.streams.find(in.key)
	if st == nil {
		return nil, false, errUnknownStream
	}

	ack, err = st.RecvPacket(in.gateway, p) // Its errors have a status.

	return ack, !errors.Is(err, session.ErrNotTaken), err
}
