package minogrpc

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"time"
)

// renewalPause is how long a node waits after it could not make a certificate.
const renewalPause = time.Hour

// errNoSigner is for a certificate whose key cannot sign another one.
var errNoSigner = errors.New("the key cannot sign")

// renewal is the certificate that the node presents, and when it makes the next one.
type renewal struct {
	mu sync.Mutex
	// current is nil until the first one is there.
	current *tls.Certificate
	due     time.Time
}

// certificate returns what the node presents now. One that the node has made is made anew,
// with the same key, when it has less than half a year left: the others go on to believe
// it. One that was given is the operator's to renew.
func (m *Minogrpc) certificate() *tls.Certificate {
	if m.given != nil {
		return m.cert
	}

	cert, renewed := m.renewal.get(m.cert, m.renew)
	if !renewed {
		return cert
	}

	// Those who join from now on are told this one.
	err := m.contain(func() error { return m.store.Store(m.me, bytes.Join(cert.Certificate, nil)) })
	m.logger.Info().AnErr("stored", err).Msg("own certificate renewed")

	return cert
}

// get returns the certificate, after a new one was made if that is due. It begins with the
// first.
func (r *renewal) get(first *tls.Certificate, renew func(old *tls.Certificate) *tls.Certificate,
) (cert *tls.Certificate, renewed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.current == nil {
		r.current, r.due = first, dueOf(first)
	}

	if time.Now().Before(r.due) {
		return r.current, false
	}

	fresh := renew(r.current)
	if fresh == nil {
		r.due = time.Now().Add(renewalPause)

		return r.current, false
	}

	r.current, r.due = fresh, dueOf(fresh)

	return fresh, true
}

// renew makes a certificate with the same key, or logs why it cannot.
func (m *Minogrpc) renew(old *tls.Certificate) (fresh *tls.Certificate) {
	err := m.contain(func() error {
		signer, ok := old.PrivateKey.(crypto.Signer)
		if !ok {
			return errNoSigner
		}

		host, err := m.me.GetHostname()
		if err != nil {
			return err
		}

		fresh, err = makeCertificate(&m.config, signer, host)

		return err
	})
	if err != nil {
		m.logger.Warn().Err(err).Msg("own certificate cannot be renewed")

		return nil
	}

	return fresh
}

// dueOf returns when another certificate is to take the place of this one.
func dueOf(cert *tls.Certificate) time.Time {
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return time.Now().Add(renewalPause)
	}

	return leaf.NotAfter.Add(-certRest)
}
