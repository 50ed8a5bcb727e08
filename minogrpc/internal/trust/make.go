package trust

import (
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
)

const (
	// certLifetime is how long a certificate is valid that a node makes. A node replaces it, or does
	// not use it again after a restart, when it is valid for less than certRest.
	certLifetime = 365 * 24 * time.Hour
	certRest     = 180 * 24 * time.Hour

	// certBackdate is how far the clocks of two nodes may be apart.
	certBackdate = time.Hour
)

// makeCertificate returns a certificate for the host, signed by its own key.
func makeCertificate(random io.Reader, signer crypto.Signer, host string) (*tls.Certificate, error) {
	template := newTemplate(host)

	der, err := x509.CreateCertificate(random, template, template, signer.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}

	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: signer}, nil
}

// newTemplate returns the content of a certificate for the host. It leaves out the serial number, for
// which x509 then takes a random one.
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

// signingKey returns the key of the operator, or a new one.
func (c *OwnConfig) signingKey() (crypto.Signer, error) {
	if c.Secret == nil {
		return ecdsa.GenerateKey(elliptic.P256(), c.Random)
	}

	signer, ok := c.Secret.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", c.Secret)
	}

	// Otherwise the peers would notice, one after the other.
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if ok && c.Public != nil && !public.Equal(c.Public) {
		return nil, errors.New("the public key does not belong to the secret key")
	}

	return signer, nil
}

// containedKey contains the panics of a key. The key may be an operator's own code, and gRPC uses it in
// goroutines of its own.
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

// contained returns the certificate with a key that returns errors instead of panicking.
func contained(cert *tls.Certificate) *tls.Certificate {
	signer, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return cert
	}

	own := *cert
	own.PrivateKey = containedKey{signer, signer.Public()}

	return &own
}
