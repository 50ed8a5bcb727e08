package minogrpc

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
)

const (
	// certLifetime is how long a certificate that a node makes is valid, and certRest how
	// long it must be valid still to be used on.
	certLifetime = 365 * 24 * time.Hour
	certRest     = 180 * 24 * time.Hour

	// certBackdate is how far the clocks of two nodes may be apart.
	certBackdate = time.Hour
)

// ServeTLS tells whether the node presents a certificate.
func (m *Minogrpc) ServeTLS() bool {
	return m.cert != nil
}

// GetCertificateChain returns the chain that the node presents, to those who call it
// and to those whom it calls, or nil with [NoTLS].
func (m *Minogrpc) GetCertificateChain() certs.CertChain {
	if m.cert == nil {
		return nil
	}

	return bytes.Join(m.certificate().Certificate, nil)
}

// GetCertificateStore returns the store of the nodes that this one believes: each is
// who has the key of the certificate that is stored for its address. Storing another
// one, or none, is the operator's decision, and nobody else's: see [Minogrpc.Join]. It
// counts from the next call of that node on, and ends the connections with a node that it
// takes away: see [certs.Watchable] and [WithTrust].
func (m *Minogrpc) GetCertificateStore() certs.Storage {
	return m.store
}

// setUpCertificate finds or makes the certificate where none is given, and stores it,
// so that the node believes itself.
func (m *Minogrpc) setUpCertificate() error {
	if m.noTLS {
		return nil
	}

	if m.me.ConnectionType() == mino.ACTgRPC {
		return fmt.Errorf("the node serves TLS but advertises %v: see NoTLS", m.me)
	}

	var err error
	if m.cert, err = m.firstCertificate(); err != nil {
		return err
	}

	m.reviewCertificate()

	if err = m.checkOwn(m.GetCertificateChain()); err != nil {
		return fmt.Errorf("the certificate of this node does not prove %v: %w", m.me, err)
	}

	if err = m.storeOwn(m.GetCertificateChain()); err != nil {
		return fmt.Errorf("store own certificate: %w", err)
	}

	m.reviewStore()

	return nil
}

// firstCertificate returns the certificate that the node begins with.
func (m *Minogrpc) firstCertificate() (cert *tls.Certificate, err error) {
	switch {
	case m.given != nil:
		cert = m.given
	case m.certSource != nil:
		cert, err = askSource(m.certSource)
	case m.trust.byAuthority:
		err = errNoAuthorized
	default:
		cert, err = m.ownCertificate()
	}

	if err != nil {
		return nil, err
	}

	return contained(cert), nil
}

// storeOwn keeps the chain of the node in its store, so that it believes itself and tells the
// others. What is there already need not be written: the disk may be one that cannot be.
func (m *Minogrpc) storeOwn(chain certs.CertChain) error {
	kept, err := m.store.Load(m.me)
	if err == nil && bytes.Equal(kept, chain) {
		return nil
	}

	stored := m.store.Store(m.me, chain)
	if stored == nil {
		return nil
	}

	// The others believe a node by its key, and so does the node itself.
	if same, failed := certs.SameKey(kept, chain); err == nil && failed == nil && same {
		m.logger.Warn().Err(stored).Msg("own certificate cannot be stored; the one there has the same key")

		return nil
	}

	return stored
}

// reviewStore tells the operator at the start which certificates cannot be read.
func (m *Minogrpc) reviewStore() {
	err := m.store.Range(func(mino.Address, certs.CertChain) bool { return true })
	if err != nil {
		m.logger.Warn().Err(err).Msg("certificates that cannot be read: join again to repair them")
	}
}

// contained returns the certificate with a key whose panics are errors.
func contained(cert *tls.Certificate) *tls.Certificate {
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return cert
	}

	own := *cert
	own.PrivateKey = containedKey{signer, signer.Public()}

	return &own
}

// reviewCertificate warns of what makes the others refuse the node.
func (m *Minogrpc) reviewCertificate() {
	list, err := x509.ParseCertificates(m.GetCertificateChain())
	if err != nil || len(list) == 0 {
		m.logger.Warn().Err(err).Msg("the certificate of this node is malformed")

		return
	}

	if err = errors.Join(checkTime(list[0]), checkHost(m.me, list[0])); err != nil {
		m.logger.Warn().Err(err).Msg("nobody will believe the certificate of this node")
	}

	kept, err := m.store.Load(m.me)
	if err == nil && errors.Is(checkKey(kept, list[0]), errOtherKey) {
		m.logger.Warn().Msg("the store has the certificate of another key for this address: " +
			"to the others this is another node")
	}
}

// ownCertificate returns the certificate in the store, if it belongs to the key that the
// options give and lasts for a while, or a new one.
func (m *Minogrpc) ownCertificate() (*tls.Certificate, error) {
	host, err := m.me.GetHostname()
	if err != nil {
		return nil, err
	}

	signer, err := signingKey(&m.config)
	if err != nil {
		return nil, err
	}

	// With a key that is made anew each time there is nothing to be found.
	if m.secret != nil {
		kept, err := m.store.Load(m.me)
		if err != nil {
			m.logger.Warn().Err(err).Msg("own certificate cannot be read, and is made anew")
		}

		if cert := reusable(kept, signer, host); cert != nil {
			return cert, nil
		}
	}

	return makeCertificate(&m.config, signer, host)
}

// reusable returns the certificate of the chain, or nil when the node cannot go on with
// it.
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

// makeCertificate returns a certificate for the host, signed by its own key.
func makeCertificate(c *config, signer crypto.Signer, host string) (*tls.Certificate, error) {
	template := newTemplate(host)

	der, err := x509.CreateCertificate(c.random, template, template, signer.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}

	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: signer}, nil
}

// newTemplate returns what the certificate for the host is to say. It leaves out
// the serial number, so that a random one is taken.
func newTemplate(host string) *x509.Certificate {
	now := time.Now()

	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: host},
		NotBefore:             now.Add(-certBackdate),
		NotAfter:              now.Add(certLifetime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}

	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}

	return template
}

// signingKey returns the key that the options give, or a new one.
func signingKey(c *config) (crypto.Signer, error) {
	if c.secret == nil {
		return ecdsa.GenerateKey(elliptic.P256(), c.random)
	}

	signer, ok := c.secret.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", c.secret)
	}

	// The peers would notice otherwise, one after the other.
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if ok && c.public != nil && !public.Equal(c.public) {
		return nil, errors.New("the public key does not belong to the secret key")
	}

	return signer, nil
}

// containedKey contains the panics of a key, which may be somebody's own: TLS and gRPC use
// it in goroutines of theirs.
type containedKey struct {
	crypto.Signer

	public crypto.PublicKey
}

// Public implements crypto.Signer.
func (k containedKey) Public() crypto.PublicKey {
	return k.public
}

// Sign implements crypto.Signer.
func (k containedKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return contain.Call(func() ([]byte, error) { return k.Signer.Sign(random, digest, opts) })
}
