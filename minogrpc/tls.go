package minogrpc

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

const (
	// certLifetime is how long a certificate that a node makes is valid. The node
	// makes a new one each time it starts.
	certLifetime = 365 * 24 * time.Hour

	// certBackdate is how far the clocks of two nodes may be apart.
	certBackdate = time.Hour
)

// ServeTLS tells whether the node presents a certificate.
func (m *Minogrpc) ServeTLS() bool {
	return m.cert != nil
}

// GetCertificateChain returns the chain that the node presents, or nil with
// [NoTLS].
func (m *Minogrpc) GetCertificateChain() certs.CertChain {
	if m.cert == nil {
		return nil
	}

	return bytes.Join(m.cert.Certificate, nil)
}

// GetCertificateStore returns the store that tells the node which certificate to
// expect at which address. What is put there counts for the next handshake; a
// connection that exists stays.
func (m *Minogrpc) GetCertificateStore() certs.Storage {
	return m.store
}

// serverCredentials returns what the node proves its identity with.
func (m *Minogrpc) serverCredentials() credentials.TransportCredentials {
	if m.cert == nil {
		return insecure.NewCredentials()
	}

	return containedCredentials{credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{*m.cert},
		MinVersion:   tls.VersionTLS12,
	})}
}

// containedCredentials contain the panics of the key, which may be somebody's own.
type containedCredentials struct {
	credentials.TransportCredentials
}

// ServerHandshake implements credentials.TransportCredentials.
func (c containedCredentials) ServerHandshake(raw net.Conn) (conn net.Conn, info credentials.AuthInfo, err error) {
	failure := contain.Do(func() { conn, info, err = c.TransportCredentials.ServerHandshake(raw) })

	return conn, info, cmp.Or(failure, err)
}

// Clone implements credentials.TransportCredentials.
func (c containedCredentials) Clone() credentials.TransportCredentials {
	return containedCredentials{c.TransportCredentials.Clone()}
}

// clientCredentials returns what the node at the address must prove its identity
// with. It fails when nothing would be believed, so that nobody dials in vain.
func (m *Minogrpc) clientCredentials(addr mino.Address) (credentials.TransportCredentials, error) {
	peer, err := follower(addr)
	if err != nil {
		return nil, err
	}

	switch peer.ConnectionType() {
	case mino.ACTgRPC:
		return insecure.NewCredentials(), nil
	case mino.ACThttps:
		return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), nil
	default:
	}

	stored := storedCredentials{store: m.store, peer: peer}

	// The next handshake does it again, but there is no use in dialling for nothing.
	stored.TransportCredentials, err = stored.load()

	return stored, err
}

// storedCredentials ask the store at each handshake, so that a connection that is
// kept, and comes up again after a while, believes what is stored by then.
type storedCredentials struct {
	credentials.TransportCredentials

	store certs.Storage
	peer  session.Address
}

// ClientHandshake implements credentials.TransportCredentials.
func (c storedCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	// gRPC shakes hands in a goroutine of its own, where nobody contains the store.
	creds, err := contain.Call(c.load)
	if err != nil {
		return nil, nil, err
	}

	return creds.ClientHandshake(ctx, authority, raw)
}

// Clone implements credentials.TransportCredentials.
func (c storedCredentials) Clone() credentials.TransportCredentials {
	c.TransportCredentials = c.TransportCredentials.Clone()

	return c
}

// load returns the credentials that believe what the store holds now.
func (c storedCredentials) load() (credentials.TransportCredentials, error) {
	host, err := c.peer.GetHostname()
	if err != nil {
		return nil, err
	}

	roots, err := loadRoots(c.store, c.peer)
	if err != nil {
		return nil, err
	}

	return credentials.NewTLS(&tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}), nil
}

// loadRoots returns the pool of the certificates that are stored for the address
// and of no others.
func loadRoots(store certs.Storage, addr mino.Address) (*x509.CertPool, error) {
	chain, err := store.Load(addr)
	if err != nil {
		return nil, fmt.Errorf("load certificate of %v: %w", addr, err)
	}

	if len(chain) == 0 {
		return nil, fmt.Errorf("no certificate is known for %v", addr)
	}

	stored, err := x509.ParseCertificates(chain)
	if err != nil {
		return nil, fmt.Errorf("malformed certificate of %v: %w", addr, err)
	}

	roots := x509.NewCertPool()
	for _, cert := range stored {
		roots.AddCert(cert)
	}

	return roots, nil
}

// makeCertificate returns a certificate for the host, signed by its own key.
func makeCertificate(c *config, host string) (*tls.Certificate, error) {
	signer, err := signingKey(c)
	if err != nil {
		return nil, err
	}

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
