package minogrpc

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/minogrpc/certs"
)

var (
	// errRevoked is for a certificate that the operator does not want to be believed.
	errRevoked = errors.New("the certificate is revoked")

	// errUntrusted is for a chain that comes from the network and does not pass the policy.
	errUntrusted = errors.New("certificate chain that is not trusted")

	// errOtherAddress is for a certificate of an authority for another node.
	errOtherAddress = errors.New("the certificate does not name the address as a URI")

	// errNoAuthorized is for a node that would sign its own certificate among nodes that believe
	// authorities.
	errNoAuthorized = errors.New("a node that trusts authorities needs a certificate of one: see WithCert")
)

// TrustPolicy decides which certificate proves that a node is the one at an address. The zero
// policy is [PinnedKeys]. A policy does not change once it is made.
type TrustPolicy struct {
	// byAuthority tells the policies apart: a policy of authorities without any believes nobody.
	byAuthority bool
	authorities *x509.CertPool

	revoked func(*x509.Certificate) error
}

// PinnedKeys is the policy of a node without [WithTrust]. The node at an address is the one that
// has the key of the certificate in the store for that address. Tokens, and the members
// themselves, let others in: see [Minogrpc.Join].
func PinnedKeys() TrustPolicy {
	return TrustPolicy{}
}

// Authorities is the policy of a network with certificate authorities of its own, and of no
// others: the roots of the system have no say. The node at an address is any that has a valid
// certificate from one of the roots, with the address as a URI among its alternative names, such
// as grpcs://host.example:2000, spelled as [Minogrpc.GetAddress] prints it. The certificate comes
// with the intermediate ones, 16 KiB in all at most. A nil pool believes nobody.
//
// Whoever has such a certificate is a member: it may call, share, and join without a token, and
// the key may change with each certificate. The store stays what it is for [Minogrpc.Join] and
// for the application: the list of the nodes that this one may dial. Deleting a node there ends
// the connections to it, and not the ones from it. See [TrustPolicy.WithRevocation] for that.
//
// [NewMinogrpc] returns an error unless [WithCert] or [WithCertSource] give the node a certificate
// that this policy believes.
func Authorities(roots *x509.CertPool) TrustPolicy {
	return TrustPolicy{byAuthority: true, authorities: roots}
}

// WithRevocation returns the policy with a check that comes after its own. An error means that
// the certificate of a node is not believed any more; so does a panic. The other node is told
// nothing but that it is not believed.
//
// The node asks with each call, each stream, each Join and Share, each handshake, and every five
// seconds about the nodes that it is connected with, whose connections and streams then end. The
// check is called from several goroutines at once, on the way of the calls: it must be quick, for
// example look into a list that something else keeps up to date.
func (p TrustPolicy) WithRevocation(check func(leaf *x509.Certificate) error) TrustPolicy {
	p.revoked = check

	return p
}

// WithTrust sets which certificates the node believes. The default is [PinnedKeys]. It means
// nothing with [NoTLS]. With [AllowUnauthenticatedPeers] it decides about the certificates that
// callers do present, and about the nodes that this one calls; a caller without a certificate is
// whoever it says it is. An https:// address is dialled by the roots of the system in any case.
func WithTrust(policy TrustPolicy) Option {
	return optionFunc(func(c *config) { c.trust = policy })
}

// believes returns an error unless somebody who has the key of the first of the certificates is
// the node at the address, for which the store has the chain.
func (m *Minogrpc) believes(addr session.Address, stored certs.CertChain, presented []*x509.Certificate) error {
	if len(presented) == 0 {
		return errNothingPresented
	}

	if err := checkTime(presented[0]); err != nil {
		return err
	}

	return m.stillBelieves(addr, stored, presented, time.Now())
}

// stillBelieves is believes at a time at which the first certificate is valid.
func (m *Minogrpc) stillBelieves(addr session.Address, stored certs.CertChain, presented []*x509.Certificate,
	at time.Time,
) error {
	err := checkPinned(stored, presented[0])
	if m.trust.byAuthority {
		err = m.trust.verify(addr, presented, at)
	}

	if err != nil {
		return err
	}

	return m.checkRevoked(presented[0])
}

// verify returns an error unless an authority says that the certificates are of the node at the
// address.
func (p TrustPolicy) verify(addr session.Address, presented []*x509.Certificate, at time.Time) error {
	if err := p.verifyAny(presented, at); err != nil {
		return err
	}

	for _, name := range presented[0].URIs {
		if name.String() == addr.String() {
			return nil
		}
	}

	return errOtherAddress
}

// verifyAny returns an error unless an authority vouches for the certificates, whoever they are
// for.
func (p TrustPolicy) verifyAny(presented []*x509.Certificate, at time.Time) error {
	// A nil pool would stand for the roots of the system.
	if p.authorities == nil {
		return errors.New("no authority is trusted")
	}

	intermediates := x509.NewCertPool()
	for _, cert := range presented[1:] {
		intermediates.AddCert(cert)
	}

	// The same certificate serves for both ends of a connection.
	_, err := presented[0].Verify(x509.VerifyOptions{
		Roots:         p.authorities,
		Intermediates: intermediates,
		CurrentTime:   at,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})

	return err
}

// checkRevoked asks the operator about a certificate that is believed otherwise.
func (m *Minogrpc) checkRevoked(leaf *x509.Certificate) error {
	if m.trust.revoked == nil {
		return nil
	}

	if err := m.contain(func() error { return m.trust.revoked(leaf) }); err != nil {
		// Callers may see this error, and the text of the check is for the operator.
		m.logger.Debug().Err(err).Str("subject", leaf.Subject.String()).Msg("certificate revoked")

		return errRevoked
	}

	return nil
}

// checkLearned returns an error for a chain from the network that the policy would not believe.
// A pinned key is believed because it was learned.
func (m *Minogrpc) checkLearned(addr session.Address, chain certs.CertChain) error {
	list, err := x509.ParseCertificates(chain)
	if err != nil || len(list) == 0 {
		return fmt.Errorf("%w for %v: %w", errBadChain, addr, err)
	}

	if m.trust.byAuthority {
		err = m.trust.verify(addr, list, time.Now())
	}

	if err == nil {
		err = m.checkRevoked(list[0])
	}

	if err != nil {
		return fmt.Errorf("%w for %v: %w", errUntrusted, addr, err)
	}

	return nil
}

// checkOwn returns an error for a certificate of this node that the other nodes, who have the
// same authorities, would not believe.
func (m *Minogrpc) checkOwn(chain certs.CertChain) error {
	if !m.trust.byAuthority {
		return nil
	}

	list, err := x509.ParseCertificates(chain)
	if err != nil {
		return err
	}

	return m.trust.verify(m.me, list, time.Now())
}
