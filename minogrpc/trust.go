package minogrpc

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/minogrpc/session/minogrpc/internal/trust"
)

// TrustPolicy decides which certificate proves that a node is the one at an address. The zero policy is
// [PinnedKeys]. A policy does not change.
type TrustPolicy struct{ policy trust.Policy }

// PinnedKeys is the default policy. The node at an address is the one that has the key of the
// certificate in the store for that address. Members let other nodes in with tokens: see
// [Minogrpc.Join].
func PinnedKeys() TrustPolicy {
	return TrustPolicy{}
}

// Authorities is the policy of a network that has certificate authorities of its own. The roots of the
// system have no say. The node at an address is any node with a valid certificate from one of the given
// roots that names the address. The address is a URI among the alternative names, such as
// grpcs://host.example:2000, spelled as [Minogrpc.GetAddress] prints it. The node presents the
// intermediate certificates, too: at most 16 KiB and 8 certificates in all. A nil pool believes nobody.
//
// A node with such a certificate is a member: it may call, and share nodes. It joins without a token.
// Its key may change with each certificate. The store is the list of the nodes that this one may dial.
// If the operator deletes a node there, that ends the connections to it, but not those from it: see
// [TrustPolicy.WithRevocation].
//
// [NewMinogrpc] returns an error unless [WithCert] or [WithCertSource] gives the node a certificate
// that this policy believes.
func Authorities(roots *x509.CertPool) TrustPolicy {
	return TrustPolicy{trust.Policy{ByAuthority: true, Authorities: roots}}
}

// WithRevocation returns the policy with a check that comes after its own. If the check returns an
// error or panics, the node does not believe the certificate any more. The other node does not learn
// why.
//
// The node calls the check for each call, stream, Join, Share and handshake. Every five seconds it also
// checks the nodes that it is connected with; if one fails, its connections and streams end. The node
// calls the check from several goroutines at once, and calls wait for it. So it must be quick: for
// example, it looks into a list that something else keeps up to date.
func (p TrustPolicy) WithRevocation(check func(leaf *x509.Certificate) error) TrustPolicy {
	p.policy.Revoked = check

	return p
}

// WithTrust sets which certificates the node believes. The default is [PinnedKeys]. With [NoTLS] it means
// nothing. With [AllowUnauthenticatedPeers] it decides about the nodes that this one calls, and about
// callers that present a certificate; the node takes a caller without one for whom it says it is. For
// an https:// address the roots of the system always decide.
func WithTrust(policy TrustPolicy) Option {
	return optionFunc(func(c *config) { c.trust = policy })
}

// WithCertSource sets a function that returns the certificate that the node presents, with its key. It is
// for certificates that are valid only for hours. [WithCert] wins over it. The node calls the function
// when it starts, and then every 10 seconds; an error of the first call is that of [NewMinogrpc]. The
// function must be quick, and return the same certificate until there is another one. Nil is ignored.
//
// Streams and calls that begin after a change use a connection with the new certificate. Those that run
// go on as they are. The node keeps the old certificate when the function fails or panics, and when the
// others would not believe the new one: with [PinnedKeys] because it has another key, with [Authorities]
// because none of them vouches for it. The node logs a warning then.
func WithCertSource(source func() (*tls.Certificate, error)) Option {
	return optionFunc(func(c *config) { c.certSource = source })
}
