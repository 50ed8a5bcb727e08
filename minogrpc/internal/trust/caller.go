package trust

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/minogrpc/certs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrUnauthenticated is the answer to a caller that does not say who it is in TLS.
var ErrUnauthenticated = status.Error(codes.Unauthenticated, "the caller presents no certificate")

// errNoMember is for a caller with a certificate that no node has.
var errNoMember = status.Error(codes.PermissionDenied, "the caller is no node that is known here")

// errStrange is what a caller is told whose key is not that of the node that it claims to be. It is the
// same for a node that is not known here, so that a stranger does not learn who is a member.
var errStrange = errors.New("that is not known here, or has another key")

// Conn is a connection that another node has opened to this one. It can be the key of a map.
type Conn interface {
	// Free ends the bounds of a stranger. It may be called at any time.
	Free()

	// Closed tells whether the connection has ended. The connection says so before [Guard.Forget] is
	// called for it.
	Closed() bool

	Close() error
}

// Caller is the other end of one connection, with what it has proved in the TLS handshake. The zero
// Caller has proved nothing.
type Caller struct {
	// Chain begins with the certificate whose key the caller has. It is empty for a caller without a
	// certificate.
	Chain []*x509.Certificate

	// Conn is nil for a connection that does not come from the listener of the node.
	Conn Conn

	// proved is the address that the caller has proved last.
	proved atomic.Pointer[proved]
}

// proved is an address with the chain in the store by which the caller was believed.
type proved struct {
	addr  session.Address
	chain certs.CertChain
}

// Leaf returns the certificate whose key the caller has, or nil.
func (c *Caller) Leaf() *x509.Certificate {
	if len(c.Chain) == 0 {
		return nil
	}

	return c.Chain[0]
}

// Free ends the bounds of a stranger for the connection of the caller.
func (c *Caller) Free() {
	if c.Conn != nil {
		c.Conn.Free()
	}
}

// callerError is why a caller is refused. The log and the observer of the node get the whole truth, and
// the caller gets what it may know.
type callerError struct {
	error

	told error
}

// GRPCStatus returns the status that the caller gets.
func (e callerError) GRPCStatus() *status.Status {
	return status.Convert(e.told)
}

// Unwrap returns the whole truth.
func (e callerError) Unwrap() error {
	return e.error
}

// CheckCaller returns an error with a status unless the caller is the node at the address, as far as
// this node asks for a proof.
func (g *Guard) CheckCaller(caller *Caller, addr session.Address) error {
	if g.own == nil {
		return nil
	}

	leaf, err := g.present(caller)
	if leaf == nil {
		return err
	}

	known, err := g.believed(addr, leaf)
	if err == nil {
		err = g.checkProof(caller, addr, known)
	}

	switch {
	case err == nil:
		g.peers.hearsay.proved(addr)

		return nil
	case g.open && len(known) == 0 && errors.Is(err, errUnknown):
		return nil
	default:
		return refusedCaller(addr, err)
	}
}

// present returns the certificate of the caller. An open node needs none: then it is nil without an error.
func (g *Guard) present(caller *Caller) (*x509.Certificate, error) {
	leaf := caller.Leaf()
	if leaf == nil && !g.open {
		return nil, ErrUnauthenticated
	}

	return leaf, nil
}

// believed returns the chain in the store for an address. Without one it takes as long as for a caller
// with another key. Otherwise a stranger could find out by a clock who is a member.
func (g *Guard) believed(addr session.Address, leaf *x509.Certificate) (certs.CertChain, error) {
	known, err := g.peers.Store.Load(addr)
	if err == nil && len(known) == 0 && g.Strict() {
		_ = checkKey(g.own.Chain(), leaf)
	}

	return known, err
}

// refusedCaller returns the error for a caller that is not the node at an address. The caller may know
// what is wrong with the time of its own certificate: its key is the right one then.
func refusedCaller(addr session.Address, err error) error {
	told := errStrange

	if wrong, ok := errors.AsType[timeError](err); ok {
		told = wrong
	}

	const format = "the caller is not %v: %w"

	return callerError{
		error: fmt.Errorf(format, addr, err),
		told:  status.Error(codes.PermissionDenied, fmt.Errorf(format, addr, told).Error()),
	}
}

// checkProof is believes for what the caller has proved. It frees a caller that is believed. It compares
// the certificates with the store once, and not with each call.
func (g *Guard) checkProof(caller *Caller, addr session.Address, known certs.CertChain) error {
	if caller.Conn == nil {
		return g.peers.believes(addr, known, caller.Chain)
	}

	last := caller.proved.Load()
	if last != nil && last.addr == addr && bytes.Equal(last.chain, known) {
		return cmp.Or(checkTime(caller.Leaf()), g.peers.checkRevoked(caller.Leaf()))
	}

	err := g.peers.believes(addr, known, caller.Chain)
	if err == nil {
		caller.Conn.Free()
		caller.proved.Store(&proved{addr: addr, chain: known})
		g.watch(caller.Conn, addr, caller.Chain)

		if !g.unchanged(addr, known) {
			g.review(&addr)
		}
	}

	return err
}

// IsMember tells whether the caller has proved to be the node at the address, and is in the store.
func (g *Guard) IsMember(caller *Caller, addr session.Address) bool {
	if caller.Leaf() == nil {
		return false
	}

	known, err := g.believed(addr, caller.Leaf())

	return err == nil && g.peers.believes(addr, known, caller.Chain) == nil
}

// CheckAnyNode returns an error with a status unless the caller has the key of any node that is known,
// as far as this node asks for a proof. It is for calls that do not name their caller.
func (g *Guard) CheckAnyNode(caller *Caller) error {
	if !g.Strict() {
		return nil
	}

	leaf := caller.Leaf()
	if leaf == nil {
		return ErrUnauthenticated
	}

	// The caller is told the same for each reason.
	if !g.peers.Knows(caller.Chain) || checkTime(leaf) != nil || g.peers.checkRevoked(leaf) != nil {
		return errNoMember
	}

	return nil
}

// CheckOwner returns an error with a status unless the caller has the key of the chain.
func (g *Guard) CheckOwner(caller *Caller, addr session.Address, chain certs.CertChain) error {
	leaf, err := g.present(caller)
	if leaf == nil {
		return err
	}

	switch err := checkKey(chain, leaf); {
	case errors.Is(err, errOtherKey):
		return status.Error(codes.PermissionDenied, "the caller presents another certificate than that of the chain")
	case err != nil:
		return status.Error(codes.InvalidArgument, err.Error())
	}

	// Nobody would find it there.
	if err := checkHost(addr, leaf); err != nil && !g.open && !g.peers.Policy.ByAuthority {
		return status.Error(codes.InvalidArgument, err.Error())
	}

	return nil
}
