package trust

import (
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/minogrpc/certs"
)

var (
	// ErrNothingPresented is for a server without a certificate.
	ErrNothingPresented = errors.New("no certificate was presented")

	// errRevoked is for a certificate that the operator does not want this node to believe.
	errRevoked = errors.New("the certificate is revoked")

	// errUntrusted is for a chain that comes from the network and does not pass the policy.
	errUntrusted = errors.New("certificate chain that is not trusted")

	errDigest = errors.New("wrong digest of the certificate")
)

// believes returns an error unless the owner of the first certificate is the node at the address. The
// owner has shown that it has the key. stored is the chain that the store has for the address.
func (p *Peers) believes(addr session.Address, stored certs.CertChain, presented []*x509.Certificate) error {
	if len(presented) == 0 {
		return ErrNothingPresented
	}

	if err := checkTime(presented[0]); err != nil {
		return err
	}

	return p.stillBelieves(addr, stored, presented, time.Now())
}

// stillBelieves is believes at a time at which the first certificate is valid.
func (p *Peers) stillBelieves(addr session.Address, stored certs.CertChain, presented []*x509.Certificate,
	at time.Time,
) error {
	err := checkPinned(stored, presented[0])
	if p.Policy.ByAuthority {
		err = p.Policy.verify(addr, presented, at)
	}

	if err != nil {
		return err
	}

	return p.checkRevoked(presented[0])
}

// checkRevoked asks the operator about a certificate that the policy believes.
func (p *Peers) checkRevoked(leaf *x509.Certificate) error {
	if p.Policy.Revoked == nil {
		return nil
	}

	if err := p.contain(func() error { return p.Policy.Revoked(leaf) }); err != nil {
		// Callers may see this error. The text of the check is for the operator alone.
		p.Logger.Debug().Err(err).Str("subject", leaf.Subject.String()).Msg("certificate revoked")

		return errRevoked
	}

	return nil
}

// CheckLearned returns an error for a chain from the network that the policy would not believe. Without
// authorities it checks only that the chain is well-formed and not revoked: a key is believed because
// this node has learned it.
func (p *Peers) CheckLearned(addr session.Address, chain certs.CertChain) error {
	list, err := x509.ParseCertificates(chain)
	if err != nil || len(list) == 0 {
		return fmt.Errorf("%w for %v: %w", errBadChain, addr, err)
	}

	if p.Policy.ByAuthority {
		err = p.Policy.verify(addr, list, time.Now())
	}

	if err == nil {
		err = p.checkRevoked(list[0])
	}

	if err != nil {
		return fmt.Errorf("%w for %v: %w", errUntrusted, addr, err)
	}

	return nil
}

// checkOwn returns an error for a certificate of this node that the other nodes would not believe. They
// have the same authorities.
func (p *Peers) checkOwn(chain certs.CertChain) error {
	if !p.Policy.ByAuthority {
		return nil
	}

	list, err := x509.ParseCertificates(chain)
	if err != nil {
		return err
	}

	return p.Policy.verify(p.Me, list, time.Now())
}

// Knows tells whether the certificates belong to any of the nodes that this one believes. With each
// call the caller says which node it is.
func (p *Peers) Knows(presented []*x509.Certificate) (known bool) {
	if len(presented) == 0 {
		return false
	}

	// A store that panics lets nobody in.
	_ = p.contain(func() error {
		if p.Policy.ByAuthority {
			known = p.Policy.verifyAny(presented, time.Now()) == nil
		} else {
			known = p.keyring.knows(p.Store, presented[0])
		}

		return nil
	})

	return known
}

// CheckStored returns an error unless the store has a well-formed chain for the address.
func (p *Peers) CheckStored(addr session.Address) error {
	chain, err := p.Store.Load(addr)
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

// MayDial returns an error unless this node may dial the address now: it must be known, and hearsay may
// be dialled only seldom. It counts the attempt.
func (p *Peers) MayDial(addr session.Address) error {
	if err := p.CheckStored(addr); err != nil {
		return err
	}

	return p.hearsay.dial(addr, time.Now())
}

// IsVouched tells whether the store has a certificate for the address that the operator has stored, or
// whose owner has shown its key.
func (p *Peers) IsVouched(addr session.Address) (bool, error) {
	chain, err := p.Store.Load(addr)

	return err == nil && len(chain) > 0 && !p.hearsay.has(addr), err
}

// CheckDigest stores the chain that a server presents if it has the digest that the operator has named.
// The server is then the node at the address, even if the call fails later. The chain must not be
// empty.
func (p *Peers) CheckDigest(target session.Address, presented []*x509.Certificate, digest []byte) error {
	chain := certs.CertChain(slices.Concat(rawOf(presented)...))

	found, err := p.Store.Hash(chain)
	if err != nil {
		return err
	}

	// The second digest is that of the node that has answered. The operator can ask the operator of the
	// other node which of the two is right.
	switch {
	case len(digest) != len(found):
		return fmt.Errorf("%w: it has %d bytes and must have %d: is it still text?", errDigest, len(digest), len(found))
	case subtle.ConstantTimeCompare(found, digest) != 1:
		return fmt.Errorf("%w: given %x, and the node there has %x", errDigest, digest, found)
	}

	if err = checkTime(presented[0]); err != nil {
		return err
	}

	if err = checkHost(target, presented[0]); err != nil && !p.Policy.ByAuthority {
		return err
	}

	_, err = p.Learn(target, chain, Origin{Proved: true, Asked: true})

	return err
}

// rawOf returns the certificates as they travel.
func rawOf(list []*x509.Certificate) [][]byte {
	raw := make([][]byte, 0, len(list))
	for _, cert := range list {
		raw = append(raw, cert.Raw)
	}

	return raw
}
