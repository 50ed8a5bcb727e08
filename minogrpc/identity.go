package minogrpc

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/minogrpc/certs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// errPublic is for an https address that is not dialled.
var errPublic = errors.New("the operator has not named this https address: see WithHTTPSPeers")

// errUnauthenticated is the answer to a caller who does not say who it is in TLS.
var errUnauthenticated = status.Error(codes.Unauthenticated, "the caller presents no certificate")

// errStrange is what a caller is told whose key is not that of the node that it claims to be. It is
// the same for a node that is not known here, so that a stranger does not learn who is a member.
var errStrange = errors.New("that is not known here, or has another key")

// callerError is why a caller is refused. The node itself, its log and its observer, have the whole
// truth, and the caller what it may know.
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

// timeError is for a certificate that is not valid now.
type timeError string

// Error implements error.
func (e timeError) Error() string {
	return string(e)
}

// errOtherKey is for a node whose key is not that of the certificate in the store.
var errOtherKey = errors.New("another key is stored for the address")

// strict tells whether every caller must prove who it is.
func (m *Minogrpc) strict() bool {
	return m.cert != nil && !m.open
}

// checkCaller returns an error with a status unless the caller is the node at the
// address, as far as this one asks for a proof.
func (m *Minogrpc) checkCaller(ctx context.Context, addr session.Address) error {
	if m.cert == nil {
		return nil
	}

	caller := proofOf(ctx)
	leaf := caller.leaf

	switch {
	case leaf == nil && m.open:
		return nil
	case leaf == nil:
		return errUnauthenticated
	}

	known, err := m.believed(addr, leaf)
	if err == nil {
		err = m.checkProof(caller, addr, known)
	}

	switch {
	case err == nil:
		m.hearsay.proved(addr)

		return nil
	case m.open && len(known) == 0 && errors.Is(err, errUnknown):
		return nil
	default:
		return refusedCaller(addr, err)
	}
}

// believed returns the chain in the store for an address. If there is none, it takes as long as a
// caller with another key does: a stranger must not find out by a clock who is a member.
func (m *Minogrpc) believed(addr session.Address, leaf *x509.Certificate) (certs.CertChain, error) {
	known, err := m.store.Load(addr)
	if err == nil && len(known) == 0 && m.strict() {
		_ = checkKey(m.GetCertificateChain(), leaf)
	}

	return known, err
}

// refusedCaller returns the error for a caller that is not believed to be the node at an address.
// What is wrong with the time of its own certificate it may know: its key is the right one then.
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

// proofOf returns what the caller has proved in the handshake of its connection.
func proofOf(ctx context.Context) proof {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return proof{}
	}

	p, _ := from.AuthInfo.(proof)

	return p
}

// presentedBy returns the certificate of the caller, who has proved to have its key, or
// nil.
func presentedBy(ctx context.Context) *x509.Certificate {
	return proofOf(ctx).leaf
}

// checkProof is believes for what the caller has proved. A caller that is believed is not
// confined any more. The certificates are compared once with what is stored, and not with each
// call.
func (m *Minogrpc) checkProof(p proof, addr session.Address, known certs.CertChain) error {
	if p.conn == nil {
		return m.believes(addr, known, p.chain)
	}

	last := p.conn.proved.Load()
	if last != nil && last.addr == addr && bytes.Equal(last.chain, known) {
		return cmp.Or(checkTime(p.leaf), m.checkRevoked(p.leaf))
	}

	err := m.believes(addr, known, p.chain)
	if err == nil {
		p.conn.free()
		p.conn.proved.Store(&proved{addr: addr, chain: known})
		m.guard.watch(p.conn, addr, p.chain)

		if !m.unchanged(addr, known) {
			m.review(&addr)
		}
	}

	return err
}

// knowsCaller tells whether the certificates are those of any of the nodes that this one
// believes. With each call the caller says which one it is.
func (m *Minogrpc) knowsCaller(presented []*x509.Certificate) (known bool) {
	if len(presented) == 0 {
		return false
	}

	// A store that fails costs its owner something, and lets nobody in.
	_ = m.contain(func() error {
		if m.trust.byAuthority {
			known = m.trust.verifyAny(presented, time.Now()) == nil
		} else {
			known = m.keyring.knows(m.store, presented[0])
		}

		return nil
	})

	return known
}

// errUnknown is for an address without a certificate in the store.
var errUnknown = errors.New("no certificate is known")

// checkStored returns an error unless the store has a chain for the address that makes
// sense.
func (m *Minogrpc) checkStored(addr session.Address) error {
	chain, err := m.store.Load(addr)
	if err != nil {
		return fmt.Errorf("load certificate of %v: %w", addr, err)
	}

	if len(chain) == 0 {
		return fmt.Errorf("%w for %v", errUnknown, addr)
	}

	_, err = x509.ParseCertificates(chain)
	if err != nil {
		return fmt.Errorf("malformed certificate of %v: %w", addr, err)
	}

	return nil
}

// checkServer returns an error unless the certificates that the server at the address
// presents are those of the node there.
func (m *Minogrpc) checkServer(addr session.Address, presented []*x509.Certificate) error {
	chain, err := m.store.Load(addr)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}

	if err = m.believes(addr, chain, presented); err != nil {
		return err
	}

	// An authority vouches for the whole address, and need not name the host once more.
	if !m.trust.byAuthority {
		err = checkHost(addr, presented[0])
	}

	if err != nil {
		return err
	}

	m.guard.dialled(addr, presented)

	if !m.unchanged(addr, chain) {
		return m.checkServer(addr, presented)
	}

	m.hearsay.proved(addr)

	return nil
}

// checkPublic returns an error unless the operator lets the node dial an https address: where the
// roots of the system decide, anybody can have a certificate, and any player can name an address.
func (m *Minogrpc) checkPublic(addr session.Address) error {
	if _, said := m.httpsPeers[spelling.Key(addr.GetDialAddress())]; said || m.cert == nil {
		return nil
	}

	chain, err := m.store.Load(addr)
	if err == nil && len(chain) > 0 && !m.hearsay.has(addr) {
		return nil
	}

	return errors.Join(fmt.Errorf("%v: %w", addr, errPublic), err)
}

// checkKey returns an error unless the certificate is valid now, and for the key of the
// one that the chain begins with. The rest of it may be newer than what is stored.
func checkKey(stored certs.CertChain, leaf *x509.Certificate) error {
	return cmp.Or(checkPinned(stored, leaf), checkTime(leaf))
}

// checkPinned is checkKey at any time.
func checkPinned(stored certs.CertChain, leaf *x509.Certificate) error {
	if len(stored) == 0 {
		return errUnknown
	}

	// The common case costs nothing: it is the same certificate.
	if !bytes.HasPrefix(stored, leaf.Raw) {
		same, err := certs.SameKey(stored, leaf.Raw)
		if err != nil {
			return err
		}

		if !same {
			return errOtherKey
		}
	}

	return nil
}

// checkTime returns an error unless the certificate is valid now.
func checkTime(leaf *x509.Certificate) error {
	switch now := time.Now(); {
	case now.Before(leaf.NotBefore):
		return timeError(fmt.Sprintf("the certificate is not valid before %v", leaf.NotBefore))
	case now.After(leaf.NotAfter):
		return timeError(fmt.Sprintf("the certificate has expired on %v", leaf.NotAfter))
	default:
		return nil
	}
}

// checkHost returns an error unless the certificate names the host of the address.
func checkHost(addr session.Address, leaf *x509.Certificate) error {
	host, err := addr.GetHostname()
	if err != nil {
		return err
	}

	return leaf.VerifyHostname(host)
}
