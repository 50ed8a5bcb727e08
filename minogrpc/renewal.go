package minogrpc

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/minogrpc/certs"
)

const (
	// renewalPause is how long a node waits after it could not make a certificate.
	renewalPause = time.Hour

	// sourcePeriod is how often a node asks the operator for the certificate.
	sourcePeriod = 10 * time.Second
)

var (
	// errNoSigner is for a certificate whose key cannot sign another one.
	errNoSigner = errors.New("the key cannot sign")

	// errNoSource is for a source that returns neither a certificate nor an error.
	errNoSource = errors.New("the source has no certificate")
)

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

// renewal is the certificate that the node presents, and when it looks for the next one.
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

	cert, renewed := m.renewal.get(m.cert, m.successor)
	if !renewed {
		return cert
	}

	// Those who join from now on are told this one.
	err := m.contain(func() error { return m.store.Store(m.me, bytes.Join(cert.Certificate, nil)) })
	m.logger.Info().AnErr("stored", err).Msg("own certificate renewed")

	// The other ends would take the calls over the connections that exist for those of a node
	// whose certificate expires. There are none yet while the node starts.
	if m.conns != nil {
		m.conns.Renew()
	}

	return cert
}

// keepRenewed looks for the next certificate in time, also when nobody connects.
func (m *Minogrpc) keepRenewed() {
	if m.cert == nil || m.given != nil {
		return
	}

	m.host.Go(host.Task{Name: "renewal of the certificate"}, func() {
		for sleep(m.host.Stopping(), m.renewal.rest()) {
			m.certificate()
		}
	})
}

// rest returns how long the certificate is to be used before the node looks for the next one.
func (r *renewal) rest() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()

	return max(time.Until(r.due), time.Millisecond)
}

// get returns the certificate, after next was asked for another one if that is due. It begins
// with the first. Next returns when it is to be asked again, and nil if there is none.
func (r *renewal) get(first *tls.Certificate, next func(old *tls.Certificate) (*tls.Certificate, time.Time),
) (cert *tls.Certificate, renewed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if r.current == nil {
		r.current = first
	}

	if time.Now().Before(r.due) {
		return r.current, false
	}

	fresh, due := next(r.current)

	r.due = due
	if fresh == nil {
		return r.current, false
	}

	r.current = fresh

	return fresh, true
}

// successor returns the certificate that takes the place of another one, or nil, and when to ask
// again.
func (m *Minogrpc) successor(old *tls.Certificate) (fresh *tls.Certificate, due time.Time) {
	if m.certSource != nil {
		return m.fromSource(old), time.Now().Add(sourcePeriod)
	}

	if due = dueOf(old); time.Now().Before(due) {
		return nil, due
	}

	if fresh = m.renew(old); fresh == nil {
		return nil, time.Now().Add(renewalPause)
	}

	return fresh, dueOf(fresh)
}

// askSource returns what the operator's function does.
func askSource(source func() (*tls.Certificate, error)) (*tls.Certificate, error) {
	cert, err := contain.Call(source)
	if err == nil && (cert == nil || len(cert.Certificate) == 0) {
		err = errNoSource
	}

	if err != nil {
		return nil, fmt.Errorf("certificate of the source: %w", err)
	}

	return contained(cert), nil
}

// fromSource returns the certificate of the source if it is another one, and one by which the
// others believe this node.
func (m *Minogrpc) fromSource(old *tls.Certificate) *tls.Certificate {
	fresh, err := askSource(m.certSource)
	if err == nil {
		before, after := bytes.Join(old.Certificate, nil), bytes.Join(fresh.Certificate, nil)
		if bytes.Equal(before, after) {
			return nil
		}

		err = m.checkSuccessor(before, after)
	}

	if err != nil {
		m.logger.Warn().Err(err).Msg("own certificate cannot be renewed")

		return nil
	}

	return fresh
}

// checkSuccessor returns an error for a certificate by which this node would not be known.
func (m *Minogrpc) checkSuccessor(before, after certs.CertChain) error {
	if m.trust.byAuthority {
		return m.checkOwn(after)
	}

	same, err := certs.SameKey(before, after)
	if err == nil && !same {
		err = errOtherKey
	}

	return err
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
