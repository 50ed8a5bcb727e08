package minogrpc

import (
	"context"
	"errors"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Join lets a node into the network that presents a token, and the certificate whose key
// it has proved to have. A node that is known already needs no token.
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

	if err = o.checkOwner(ctx, addr, chain); err != nil {
		return nil, err
	}

	// A node that nobody would believe must not use up a token.
	if err = o.checkLearned(addr, chain); err != nil {
		return nil, statusOfLearning(err)
	}

	if !o.isMember(ctx, addr) {
		err = o.checkStranger(ctx, request.GetToken(), goesOn)
	}

	if err != nil {
		return nil, err
	}

	changed, err := o.learn(addr, chain, origin{proved: presentedBy(ctx) != nil})

	switch {
	case err != nil:
		return nil, statusOfLearning(err)
	case isSame(addr, o.me):
		return nil, status.Error(codes.InvalidArgument, errOwnself.Error())
	}

	// From now on the caller is known. It should not have to make room while the others are told.
	if conn := proofOf(ctx).conn; conn != nil {
		conn.free()
	}

	if changed {
		o.beginShare(addr, request.GetChain())
	}

	return o.answer(ctx, addr, request)
}

// answer waits until the others have been told of the newcomer, and returns what is known then. A
// caller that asks for pages gets the first ones before that: the others can only be told by a node
// that they know, and so a newcomer must know this node's peers early.
func (o *overlay) answer(ctx context.Context, newcomer session.Address, request *ptypes.JoinRequest,
) (*ptypes.JoinResponse, error) {
	told := o.sharing(newcomer)

	if request.GetPage() == 0 || request.GetTold() {
		select {
		case <-told:
		case <-ctx.Done():
		}
	}

	response, err := o.reply(ctx, request)
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

// checkStranger returns an error with a status unless a caller that is not known may come in.
func (m *Minogrpc) checkStranger(ctx context.Context, token string, goesOn bool) error {
	if goesOn {
		if err := m.rates.mayIntroduce(remoteHost(ctx)); err != nil {
			return err
		}
	}

	return m.checkToken(ctx, token)
}

// Share adds a node that another one has let in.
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

	_, err = o.learn(addr, value, origin{})

	return &ptypes.CertificateAck{}, statusOfLearning(err)
}

// isMember tells whether the caller has proved to be the node at the address, and is in
// the store.
func (m *Minogrpc) isMember(ctx context.Context, addr session.Address) bool {
	presented := proofOf(ctx).chain
	if len(presented) == 0 {
		return false
	}

	known, err := m.believed(addr, presented[0])

	return err == nil && m.believes(addr, known, presented) == nil
}

// checkMember returns an error with a status unless the caller may speak about others.
func (m *Minogrpc) checkMember(ctx context.Context) error {
	switch {
	case m.cert == nil:
		return status.Error(codes.FailedPrecondition, errNoTLS.Error())
	case presentedBy(ctx) != nil:
	case m.open:
		return nil
	default:
		return errUnauthenticated
	}

	md, _ := metadata.FromIncomingContext(ctx)

	gateway, err := host.ReadGateway(md)
	if err != nil {
		return err
	}

	return m.checkCaller(ctx, gateway)
}

// readIntroduction reads what a caller says about another node, or itself. The errors
// have a status. It counts against the rate of the caller's host if it is a new one.
func (m *Minogrpc) readIntroduction(ctx context.Context, chain *ptypes.CertificateChain, counts bool,
) (session.Address, certs.CertChain, error) {
	if m.cert == nil {
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

	_, err = checkChain(addr, chain.GetValue())

	return addr, chain.GetValue(), statusOfLearning(err)
}

// checkOwner returns an error with a status unless the caller has the key of the chain.
func (m *Minogrpc) checkOwner(ctx context.Context, addr session.Address, chain certs.CertChain) error {
	leaf := presentedBy(ctx)

	switch {
	case leaf == nil && m.open:
		return nil
	case leaf == nil:
		return errUnauthenticated
	}

	switch err := checkKey(chain, leaf); {
	case errors.Is(err, errOtherKey):
		return status.Error(codes.PermissionDenied, "the caller presents another certificate than that of the chain")
	case err != nil:
		return status.Error(codes.InvalidArgument, err.Error())
	}

	// Nobody would find it there.
	if err := checkHost(addr, leaf); err != nil && !m.open && !m.trust.byAuthority {
		return status.Error(codes.InvalidArgument, err.Error())
	}

	return nil
}

// checkToken returns an error with a status for a token that lets nobody in.
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

// statusOfLearning returns the error with the status of why a chain was not learned.
func statusOfLearning(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errOtherKey):
		return status.Error(codes.AlreadyExists, err.Error())
	case errors.Is(err, errTooManyPeers):
		return status.Error(codes.ResourceExhausted, err.Error())
	case errors.Is(err, errUntrusted):
		return status.Error(codes.PermissionDenied, err.Error())
	case errors.Is(err, errBadChain):
		return status.Error(codes.InvalidArgument, err.Error())
	default:
		return status.Error(codes.Internal, err.Error())
	}
}
