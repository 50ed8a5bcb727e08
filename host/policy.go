package host

import (
	"context"
	"fmt"

	"github.com/minogrpc/session"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Role is what a caller wants to be in a stream.
type Role int

// The zero Role is none of these, so that a rule that was never filled in matches nothing.
const (
	// RoleOrchestrator opens the stream. This node becomes its root.
	RoleOrchestrator Role = iota + 1

	// RoleParent is a player that opens the stream here, or adopts this node in it.
	RoleParent

	// RoleFeeder sends one packet of the stream in a call. Nodes without duplex links send so.
	RoleFeeder
)

// String returns the role for people to read.
func (r Role) String() string {
	switch r {
	case RoleOrchestrator:
		return "orchestrator"
	case RoleParent:
		return "parent"
	case RoleFeeder:
		return "feeder"
	default:
		return fmt.Sprintf("role %d", int(r))
	}
}

// Request is what a caller asks of a host.
type Request struct {
	// Caller is the node that the caller says it is, as a follower. Only [Policy] Identify knows
	// whether that is true.
	Caller session.Address

	// Role is what the caller wants to be.
	Role Role

	// Procedure is the URI of a registered procedure, and Stream the id of the stream.
	Procedure, Stream string

	// Account is what Arrive of the policy has returned for the stream. It is nil for a feeder.
	Account Account
}

// Account is what a stream of a caller counts for. The methods are called by one goroutine at
// a time.
type Account interface {
	// Accepted is called when the caller has become a parent, so that its set-up is over.
	Accepted()

	// Close gives everything back. It is called once, when the stream does not count any more:
	// with its end, or later if it was given up and its link may still go on.
	Close()
}

// Policy decides who may do what at a host. The zero Policy lets anybody do anything. The functions
// are called in the order of the fields, several at once; each may be nil. The context is that
// of the call: it ends with it.
//
// The caller gets the gRPC status of the error that a function returns. An error without a status
// is PermissionDenied, and its text stays here; see [Denied]. A panic refuses, too.
type Policy struct {
	// Arrive is asked about each stream before the host reads anything of it: it bounds what the
	// streams of a caller may take. The host closes the account that it returns.
	Arrive func(ctx context.Context, md metadata.MD) (Account, error)

	// Identify returns an error unless the caller is the node that it says it is. It is asked about
	// each stream and each packet before the host looks for the procedure, so that strangers
	// learn nothing about it.
	Identify func(ctx context.Context, caller session.Address) error

	// Allow is asked about each stream and each packet, also about a stream that resumes a broken
	// link, once all of the request has been read.
	Allow func(ctx context.Context, request Request) error

	// Table is asked before the host makes the routing table of a stream out of the metadata, and takes
	// the memory for that. The host calls release when the table is there: the session charges it
	// from then on.
	Table func(caller session.Address, md metadata.MD) (release func(), err error)

	// Lineage says who may become a parent in a stream that is open.
	Lineage Lineage
}

// Lineage is what a host makes of the nodes above it in the tree of a stream.
type Lineage int

const (
	// AnyParent takes any node for a parent.
	AnyParent Lineage = iota

	// NamedParents is AnyParent, and names the nodes above to the children, so that they can be
	// strict.
	NamedParents

	// OnlyNamedParents takes for a parent only the node that has opened the stream here, and those
	// whom that one has named as its ancestors. It makes sense if Identify proves who calls.
	// The host refuses others with PermissionDenied.
	OnlyNamedParents
)

// denial refuses a caller. The node tells the caller the status alone, and itself the cause.
type denial struct {
	cause error
}

// Denied returns an error with the text of the cause and the status PermissionDenied, which does not
// have that text.
func Denied(cause error) error {
	return denial{cause}
}

// Error implements error.
func (d denial) Error() string {
	return d.cause.Error()
}

// Unwrap returns the cause.
func (d denial) Unwrap() error {
	return d.cause
}

// GRPCStatus returns what the caller is told.
func (denial) GRPCStatus() *status.Status {
	return status.New(codes.PermissionDenied, "not permitted")
}

// openAccount is the account of a stream that nobody counts.
type openAccount struct{}

// Accepted implements Account.
func (openAccount) Accepted() {}

// Close implements Account.
func (openAccount) Close() {}

// arrive returns the account of a stream.
func (p *Policy) arrive(ctx context.Context, md metadata.MD) (Account, error) {
	if p.Arrive == nil {
		return openAccount{}, nil
	}

	account, err := p.Arrive(ctx, md)

	switch {
	case err != nil:
		return nil, refusal(err)
	case account == nil:
		return openAccount{}, nil
	default:
		return account, nil
	}
}

// identify returns an error with a status unless the caller is who it says it is.
func (p *Policy) identify(ctx context.Context, caller session.Address) error {
	if p.Identify == nil {
		return nil
	}

	return refusal(p.Identify(ctx, caller))
}

// allow returns an error with a status unless the caller may do what it asks for.
func (p *Policy) allow(ctx context.Context, request Request) error {
	if p.Allow == nil {
		return nil
	}

	return refusal(p.Allow(ctx, request))
}

// table takes the memory in which a routing table is made.
func (p *Policy) table(caller session.Address, md metadata.MD) (release func(), err error) {
	if p.Table == nil {
		return func() {}, nil
	}

	release, err = p.Table(caller, md)

	return release, refusal(err)
}

// refusal returns an error of a policy with a status.
func refusal(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}

	return Denied(err)
}
