package minogrpc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/contain"
	"google.golang.org/grpc/peer"
)

// Caller is a node that asks this one for something.
type Caller struct {
	// Address is the node that the caller has proved to be, in its follower form. It is the
	// zero Address, which no node has, when the caller has proved nothing: always with
	// [NoTLS], and with [AllowUnauthenticatedPeers] unless the caller presents the certificate
	// that is known for its address. So a rule that compares Address, or looks it up in a map,
	// allows nothing to such a caller.
	Address session.Address

	// Claimed is the address that the caller gives. It is worth nothing unless it is Address.
	Claimed session.Address

	// Certificate is the one whose key the caller has, or nil when the caller has proved
	// nothing. Do not change it.
	Certificate *x509.Certificate

	// Peer is the other end of the connection, as the network sees it.
	Peer net.Addr
}

// Access is what a caller wants of a procedure.
type Access int

// The zero Access is none of these, so that a rule that was never filled in matches nothing.
const (
	// AccessCall asks the handler one question, as [mino.RPC] Call does.
	AccessCall Access = iota + 1

	// AccessStream opens a stream as its orchestrator, as [mino.RPC] Stream does. The node
	// becomes the root.
	AccessStream

	// AccessAdopt makes the caller the parent of this node in a stream that somebody else
	// has opened. The caller is a player of the stream and passes on what the orchestrator
	// sends. Nobody proves who the orchestrator is: who may adopt can also make the stream up.
	AccessAdopt
)

// String returns the access for people to read.
func (a Access) String() string {
	switch a {
	case AccessCall:
		return "call"
	case AccessStream:
		return "stream"
	case AccessAdopt:
		return "adopt"
	default:
		return fmt.Sprintf("access %d", int(a))
	}
}

// Procedure is what a caller wants to use.
type Procedure struct {
	// URI is the path of a registered procedure: the segments and the name, with a slash
	// between them. See [Minogrpc.WithSegment].
	URI string

	// Access is what the caller wants of it.
	Access Access
}

// Authorizer returns nil if the caller may use the procedure. Any error refuses it.
type Authorizer func(ctx context.Context, caller Caller, procedure Procedure) error

// WithAuthorizer sets who may use which procedure. Without it, or with nil, every member of
// the network may use all of them. The node asks the authorizer after it knows who calls and
// before the call has an effect:
//
//   - for each Call;
//   - for each stream that an orchestrator or a parent opens, also when it resumes a broken
//     link. A link that exists is not asked about again.
//
// A packet outside a link is taken only from a neighbour in that stream, so the authorizer
// need not be asked about it. The node asks also about its own calls to itself. Join and Share
// are not asked about: the token and the [TrustPolicy] decide there.
//
// A caller that is refused gets the status PermissionDenied and never the text of the error,
// which goes to the log and to [Observer] Refused. A panic refuses, too. The authorizer is
// called from several goroutines at once, on the way of the calls. The context is that of the
// call: it ends with it.
func WithAuthorizer(authorizer Authorizer) Option {
	return optionFunc(func(c *config) { c.authorizer = authorizer })
}

// authorize returns an error with a status unless the caller may use the procedure. The
// caller's address has passed checkCaller.
func (m *Minogrpc) authorize(ctx context.Context, claimed session.Address, procedure Procedure) error {
	if m.authorizer == nil && m.observer.Allowed == nil {
		return nil
	}

	caller := m.describe(ctx, claimed)

	if m.authorizer != nil {
		err := m.contain(func() error { return m.authorizer(ctx, caller, procedure) })
		if errors.Is(err, contain.ErrPanic) {
			// A panic of a handler has another status.
			err = errors.New(err.Error())
		}

		if err != nil {
			return host.Denied(fmt.Errorf("%v may not %v %q: %w", claimed, procedure.Access, procedure.URI, err))
		}
	}

	if m.observer.Allowed != nil {
		m.observe(func() { m.observer.Allowed(caller, procedure) })
	}

	return nil
}

// describe returns what the node knows of the caller.
func (m *Minogrpc) describe(ctx context.Context, claimed session.Address) Caller {
	caller := Caller{Claimed: claimed}

	if from, ok := peer.FromContext(ctx); ok {
		caller.Peer = ownAddr(from.Addr)
	}

	// A strict node would not have let the caller come so far without a proof.
	who := callerOf(ctx)
	if m.guard.Strict() || (m.own != nil && m.guard.IsMember(who, claimed)) {
		caller.Address, caller.Certificate = claimed, who.Leaf()
	}

	return caller
}
