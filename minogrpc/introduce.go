package minogrpc

import (
	"context"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/minogrpc/internal/trust"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Join lets a node into the network. The node presents a token, and the certificate whose key it has
// proved to have. A known node needs no token.
func (o *overlay) Join(ctx context.Context, request *ptypes.JoinRequest) (*ptypes.JoinResponse, error) {
	if err := o.host.Serving(); err != nil {
		return nil, err
	}

	// The later pages of a member are part of the introduction that began with the first.
	goesOn := len(request.GetAfter()) > 0 || request.GetTold()

	addr, chain, err := o.readIntroduction(ctx, request.GetChain(), !goesOn)
	if err != nil {
		return nil, err
	}

	caller := callerOf(ctx)
	if err = o.guard.CheckOwner(caller, addr, chain); err != nil {
		return nil, err
	}

	// A node that the others would not believe must not use up a token.
	if err = o.peers.CheckLearned(addr, chain); err != nil {
		return nil, trust.StatusOf(err)
	}

	if !o.guard.IsMember(caller, addr) {
		err = o.checkStranger(ctx, request.GetToken(), goesOn)
	}

	if err != nil {
		return nil, err
	}

	changed, err := o.peers.Learn(addr, chain, trust.Origin{Proved: caller.Leaf() != nil})

	switch {
	case err != nil:
		return nil, trust.StatusOf(err)
	case isSame(addr, o.me):
		return nil, status.Error(codes.InvalidArgument, errOwnself.Error())
	}

	// From now on the caller is known. It need not make room for others while this node tells them.
	caller.Free()

	if changed {
		o.shares.Begin(addr, request.GetChain())
	}

	return o.answer(ctx, addr, request)
}

// answer waits until this node has told the others of the newcomer, and returns the nodes that it knows
// then. A caller that asks for pages gets the first ones before that. Only a node that they know can tell
// the others of a newcomer, so a newcomer must know the peers of this node early.
func (o *overlay) answer(ctx context.Context, newcomer session.Address, request *ptypes.JoinRequest,
) (*ptypes.JoinResponse, error) {
	told := o.shares.Done(newcomer)

	if request.GetPage() == 0 || request.GetTold() {
		select {
		case <-told:
		case <-ctx.Done():
		}
	}

	response, err := o.peers.Answer(ctx, request)
	if err != nil {
		return nil, err
	}

	select {
	case <-told:
	default:
		response.Telling = request.GetPage() > 0
	}

	return response, nil
}

// checkStranger returns an error with a status unless an unknown caller may come in.
func (m *Minogrpc) checkStranger(ctx context.Context, token string, goesOn bool) error {
	if goesOn {
		if err := m.rates.mayIntroduce(remoteHost(ctx)); err != nil {
			return err
		}
	}

	return m.checkToken(ctx, token)
}

// Share adds a node that another member has let in.
func (o *overlay) Share(ctx context.Context, chain *ptypes.CertificateChain) (*ptypes.CertificateAck, error) {
	if err := o.host.Serving(); err != nil {
		return nil, err
	}

	if err := o.checkMember(ctx); err != nil {
		return nil, err
	}

	addr, value, err := o.readIntroduction(ctx, chain, true)
	if err != nil {
		return nil, err
	}

	_, err = o.peers.Learn(addr, value, trust.Origin{})

	return &ptypes.CertificateAck{}, trust.StatusOf(err)
}

// checkMember returns an error with a status unless the caller may introduce other nodes.
func (m *Minogrpc) checkMember(ctx context.Context) error {
	switch {
	case m.own == nil:
		return status.Error(codes.FailedPrecondition, errNoTLS.Error())
	case callerOf(ctx).Leaf() != nil:
	case m.open:
		return nil
	default:
		return trust.ErrUnauthenticated
	}

	md, _ := metadata.FromIncomingContext(ctx)

	gateway, err := host.ReadGateway(md)
	if err != nil {
		return err
	}

	return m.checkCaller(ctx, gateway)
}

// readIntroduction reads the address and the chain of a node, which may be the caller itself. The errors
// have a status. counts says that this is a new introduction, which counts against the rate of the
// caller's host.
func (m *Minogrpc) readIntroduction(ctx context.Context, chain *ptypes.CertificateChain, counts bool,
) (session.Address, certs.CertChain, error) {
	if m.own == nil {
		return session.Address{}, nil, status.Error(codes.FailedPrecondition, errNoTLS.Error())
	}

	if counts {
		if err := m.rates.mayIntroduce(remoteHost(ctx)); err != nil {
			return session.Address{}, nil, err
		}
	}

	addr, err := host.ReadAddress("of the chain", string(chain.GetAddress()))
	if err != nil {
		return session.Address{}, nil, err
	}

	_, err = trust.CheckChain(addr, chain.GetValue())

	return addr, chain.GetValue(), trust.StatusOf(err)
}

// checkToken returns an error with a status unless the token lets the caller in.
func (m *Minogrpc) checkToken(ctx context.Context, token string) error {
	host := remoteHost(ctx)

	if err := m.rates.mayTryToken(host); err != nil {
		return err
	}

	if m.tokens.Verify(token) {
		return nil
	}

	m.rates.tokenWrong(host)

	if token == "" {
		return status.Error(codes.PermissionDenied, "the caller is not known here, and has no token")
	}

	return status.Error(codes.PermissionDenied, "the token is unknown, used up or has expired")
}
