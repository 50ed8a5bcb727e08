package trust

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minogrpc/session/minogrpc/certs"
)

// errNoAuthorized is for a node that would sign its own certificate in a network of authorities.
var errNoAuthorized = errors.New("a node that trusts authorities needs a certificate of one: see WithCert")

// OwnConfig is how a node gets its certificate: the one that is given, or that of the source, or else
// one that it makes and signs itself.
type OwnConfig struct {
	// Given is the certificate of the operator, who renews it by a restart. It may be nil.
	Given *tls.Certificate

	// Source returns the certificate of the operator, and another one later. It may be nil.
	Source func() (*tls.Certificate, error)

	// Secret is the key of the certificate that the node makes, a crypto.Signer. The node makes a new
	// key for nil. Public is nil, or the public half of Secret.
	Secret, Public any

	// Random is the source of randomness.
	Random io.Reader

	// Renewed is called when the node begins to use another certificate.
	Renewed func()
}

// Own is the certificate of this node.
type Own struct {
	config OwnConfig
	peers  *Peers

	renewal renewal
}

// NewOwn finds or makes the certificate of the node. It stores the certificate, so that the node believes
// itself and tells the others. It warns in the log of what would make the others refuse the node.
func NewOwn(c OwnConfig, peers *Peers) (*Own, error) {
	o := &Own{config: c, peers: peers}

	first, err := o.first()
	if err != nil {
		return nil, err
	}

	o.renewal.current = first

	o.review()

	if err = peers.checkOwn(o.Chain()); err != nil {
		return nil, fmt.Errorf("the certificate of this node does not prove %v: %w", peers.Me, err)
	}

	if err = o.keep(o.Chain()); err != nil {
		return nil, fmt.Errorf("store own certificate: %w", err)
	}

	peers.review()

	return o, nil
}

// Chain returns the chain that the node presents now.
func (o *Own) Chain() certs.CertChain {
	return bytes.Join(o.Certificate().Certificate, nil)
}

// first returns the certificate that the node begins with.
func (o *Own) first() (cert *tls.Certificate, err error) {
	switch {
	case o.config.Given != nil:
		cert = o.config.Given
	case o.config.Source != nil:
		cert, err = askSource(o.config.Source)
	case o.peers.Policy.ByAuthority:
		err = errNoAuthorized
	default:
		cert, err = o.ownCertificate()
	}

	if err != nil {
		return nil, err
	}

	return contained(cert), nil
}

// keep stores the chain of the node. It does not write a chain that is there already, because the disk
// may be read-only.
func (o *Own) keep(chain certs.CertChain) error {
	kept, err := o.peers.Store.Load(o.peers.Me)
	if err == nil && bytes.Equal(kept, chain) {
		return nil
	}

	stored := o.peers.Store.Store(o.peers.Me, chain)
	if stored == nil {
		return nil
	}

	// The others believe a node by its key, and so does the node itself.
	if same, failed := certs.SameKey(kept, chain); err == nil && failed == nil && same {
		o.peers.Logger.Warn().Err(stored).Msg("own certificate cannot be stored; the one there has the same key")

		return nil
	}

	return stored
}

// review warns of what makes the others refuse the node.
func (o *Own) review() {
	list, err := x509.ParseCertificates(o.Chain())
	if err != nil || len(list) == 0 {
		o.peers.Logger.Warn().Err(err).Msg("the certificate of this node is malformed")

		return
	}

	if err = errors.Join(checkTime(list[0]), checkHost(o.peers.Me, list[0])); err != nil {
		o.peers.Logger.Warn().Err(err).Msg("nobody will believe the certificate of this node")
	}

	kept, err := o.peers.Store.Load(o.peers.Me)
	if err == nil && errors.Is(checkKey(kept, list[0]), errOtherKey) {
		o.peers.Logger.Warn().Msg("the store has the certificate of another key for this address: " +
			"to the others this is another node")
	}
}

// ownCertificate returns the certificate in the store, if it has the key of the operator and is valid
// for long enough. Otherwise it makes a new one.
func (o *Own) ownCertificate() (*tls.Certificate, error) {
	host, err := o.peers.Me.GetHostname()
	if err != nil {
		return nil, err
	}

	signer, err := o.config.signingKey()
	if err != nil {
		return nil, err
	}

	// Without a key of the operator, the node makes a new key, which no stored certificate has.
	if o.config.Secret != nil {
		kept, err := o.peers.Store.Load(o.peers.Me)
		if err != nil {
			o.peers.Logger.Warn().Err(err).Msg("own certificate cannot be read, and is made anew")
		}

		if cert := reusable(kept, signer, host); cert != nil {
			return cert, nil
		}
	}

	return makeCertificate(o.config.Random, signer, host)
}

// reusable returns the certificate of the chain, or nil when the node cannot use it any longer.
func reusable(chain certs.CertChain, signer crypto.Signer, host string) *tls.Certificate {
	list, err := x509.ParseCertificates(chain)
	if err != nil || len(list) == 0 {
		return nil
	}

	public, ok := signer.Public().(interface {
		Equal(other crypto.PublicKey) bool
	})
	if !ok || !public.Equal(list[0].PublicKey) || list[0].VerifyHostname(host) != nil {
		return nil
	}

	if now := time.Now(); now.Before(list[0].NotBefore) || now.Add(certRest).After(list[0].NotAfter) {
		return nil
	}

	cert := &tls.Certificate{PrivateKey: signer}
	for _, each := range list {
		cert.Certificate = append(cert.Certificate, each.Raw)
	}

	return cert
}
