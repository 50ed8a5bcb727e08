package host

import (
	"context"
	"fmt"

	"github.com/minogrpc/session"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Role is the part that a caller wants to have in a stream.
type Role int

// The zero Role is none of these. So a rule that nobody has filled in matches nothing.
const (
	// RoleOrchestrator opens the stream. This node becomes its root.
	RoleOrchestrator Role = iota + 1

	// RoleParent is a player that opens the stream to this node, or adopts this node in it.
	RoleParent

	// RoleFeeder sends one packet of the stream in a call, as nodes without duplex links do.
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
	// Caller is the address that the caller gives, as a follower. Only [Policy] Identify knows
	// whether it is true.
	Caller session.Address

	// Role is the part that the caller wants to have.
	Role Role

	// Procedure is the URI of a registered procedure. Stream is the id of the stream.
	Procedure, Stream string

	// Account is the account that Arrive of the policy has returned for the stream. It is nil for a
	// feeder.
	Account Account
}

// Account counts a stream of a caller against the limits of the overlay. The host calls the methods from
// one goroutine at a time.
type Account interface {
	// Accepted is called when the caller has become a parent. Its set-up is over then.
	Accepted()

	// Close gives everything back. It is called once: at the end of the stream, or later if the stream
	// was given up and another one may still resume its link.
	Close()
}

// Policy decides which caller may do what at a host. The zero Policy lets anybody do anything. For one
// request the host calls the functions in the order of the fields; several requests may call them at
// once. Each function may be nil. The context is that of the call, and ends with it.
//
// The caller gets the gRPC status of the error that a function returns. An error without a status
// becomes PermissionDenied, and the caller does not get its text; see [Denied]. A panic refuses the
// caller, too.
type Policy struct {
	// Arrive is called for each stream, before the host reads anything of it. It bounds what the
	// streams of a caller may take. The host closes the account that Arrive returns.
	Arrive func(ctx context.Context, md metadata.MD) (Account, error)

	// Identify returns an error unless the caller is the node that it says it is. It is called for
	// each stream and for each packet outside a link, before the host looks for the procedure. So
	// strangers do not learn which procedures there are.
	Identify func(ctx context.Context, caller session.Address) error

	// Allow returns an error unless the caller may do what it asks for. It is called for each stream,
	// also for one that resumes a broken link, and for each packet outside a link. The host has read
	// all of the request then.
	Allow func(ctx context.Context, request Request) error

	// Table takes the memory that the host needs to make the routing table of a stream from the
	// metadata. The host calls release when the table is there: from then on the session counts it.
	Table func(caller session.Address, md metadata.MD) (release func(), err error)

	// Lineage says who may become a parent in a stream that is open.
	Lineage Lineage
}

// Lineage says what a host does with the names of the nodes above it in the tree of a stream.
type Lineage int

const (
	// AnyParent accepts any node as a parent.
	AnyParent Lineage = iota

	// NamedParents accepts any node as a parent. The host names the nodes above it to its children,
	// so that these can be strict.
	NamedParents

	// OnlyNamedParents accepts as a parent only the node that has opened the stream here and the
	// ancestors that this node has named. The host refuses others with PermissionDenied. It makes
	// sense only if Identify proves who calls.
	OnlyNamedParents
)

// denial refuses a caller. The caller gets only the status, and the log of the node gets the cause.
type denial struct {
	cause error
}

// Denied returns an error that has the text of the cause, and the gRPC status PermissionDenied. The
// caller gets the status, which does not have that text.
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

// GRPCStatus returns the status for the caller.
func (denial) GRPCStatus() *status.Status {
	return status.New(codes.PermissionDenied, "not permitted")
}

// openAccount is the account of a stream that no policy counts.
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

// table takes the memory that the host needs to make a routing table.
func (p *Policy) table(caller session.Address, md metadata.MD) (release func(), err error) {
	if p.Table == nil {
		return func() {}, nil
	}

	release, err = p.Table(caller, md)

	return release, refusal(err)
}

// refusal gives an error of a policy a status.
func refusal(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}

	return Denied(err)
}
