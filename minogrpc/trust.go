package minogrpc

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/minogrpc/session/minogrpc/internal/trust"
)

// TrustPolicy decides which certificate proves that a node is the one at an address. The zero
// policy is [PinnedKeys]. A policy does not change once it is made.
type TrustPolicy struct{ policy trust.Policy }

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
	return TrustPolicy{trust.Policy{ByAuthority: true, Authorities: roots}}
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
	p.policy.Revoked = check

	return p
}

// WithTrust sets which certificates the node believes. The default is [PinnedKeys]. It means
// nothing with [NoTLS]. With [AllowUnauthenticatedPeers] it decides about the certificates that
// callers do present, and about the nodes that this one calls; a caller without a certificate is
// whoever it says it is. An https:// address is dialled by the roots of the system in any case.
func WithTrust(policy TrustPolicy) Option {
	return optionFunc(func(c *config) { c.trust = policy })
}

// WithCertSource sets a function that returns the certificate that the node presents, with its
// key, in place of [WithCert]: for certificates that are valid for hours. The node asks it when it
// starts, where an error is that of [NewMinogrpc], and then every 10 seconds. It must be quick,
// and return the same certificate until there is another one. Nil is ignored.
//
// Streams and calls that begin after a change use a connection with the new certificate, and
// what goes on is not disturbed. The node keeps the one before when the function fails or panics,
// and also when the others would not believe the new one: with [PinnedKeys] because its key is
// another one, with [Authorities] because none of them vouches for it. That is logged as a
// warning.
func WithCertSource(source func() (*tls.Certificate, error)) Option {
	return optionFunc(func(c *config) { c.certSource = source })
}
