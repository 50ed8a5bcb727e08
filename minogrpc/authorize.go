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
	// Address is the node that the caller has proved to be, in its follower form. If the caller has
	// proved nothing, Address is the zero Address, which no node has. So a rule that compares
	// Address, or looks it up in a map, allows nothing to such a caller. With [NoTLS] no caller proves
	// anything. With [AllowUnauthenticatedPeers] only a caller does that presents the known
	// certificate for its address.
	Address session.Address

	// Claimed is the address that the caller gives. It proves nothing: see Address.
	Claimed session.Address

	// Certificate is the certificate whose key the caller has. It is nil when the caller has proved
	// nothing. Do not change it.
	Certificate *x509.Certificate

	// Peer is the other end of the connection, as the network sees it.
	Peer net.Addr
}

// Access is what a caller wants of a procedure.
type Access int

// The zero Access is none of these. So a rule that nobody has filled in matches nothing.
const (
	// AccessCall asks the handler one question, as [mino.RPC] Call does.
	AccessCall Access = iota + 1

	// AccessStream opens a stream as its orchestrator, as [mino.RPC] Stream does. The node
	// becomes the root.
	AccessStream

	// AccessAdopt makes the caller the parent of this node in a stream that another node has opened.
	// The caller is a player of the stream and passes on what the orchestrator sends. Nobody proves
	// who the orchestrator is: a caller that may adopt can also invent the stream.
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

// WithAuthorizer sets who may use which procedure. Without it, or with nil, every member of the network
// may use all of them. The node asks the authorizer after it knows who calls, and before the call has
// an effect:
//
//   - for each Call, also for one of its own to itself;
//   - for each stream that an orchestrator or a parent opens, also when it resumes a broken link.
//
// The node does not ask again while a link lasts. It does not ask about a packet outside a link, which
// it takes only from a neighbour in that stream. It does not ask about Join and Share: the token and
// the [TrustPolicy] decide there.
//
// A refused caller gets the status PermissionDenied, and never the text of the error. That goes to the
// log and to [Observer] Refused. A panic refuses, too. The node calls the authorizer from several
// goroutines at once, and the call waits for it. The context is that of the call, and ends with it.
func WithAuthorizer(authorizer Authorizer) Option {
	return optionFunc(func(c *config) { c.authorizer = authorizer })
}

// authorize returns an error with a status unless the caller may use the procedure. checkCaller has
// let the claimed address pass.
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
