package trust

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/minogrpc/certs"
)

const (
	// renewalPause is how long a node waits after it has failed to make a certificate.
	renewalPause = time.Hour

	// sourcePeriod is how often a node asks the operator's function for the certificate.
	sourcePeriod = 10 * time.Second
)

var (
	// errNoSigner is for a certificate whose key cannot sign another one.
	errNoSigner = errors.New("the key cannot sign")

	// errNoSource is for a source that returns neither a certificate nor an error.
	errNoSource = errors.New("the source has no certificate")
)

// renewal is the certificate that the node presents now, and the time of the next look for another one.
type renewal struct {
	mu      sync.Mutex
	current *tls.Certificate
	due     time.Time
}

// Certificate returns what the node presents now. When a certificate that the node has made is valid for
// less than half a year, the node replaces it by one with the same key, so that the others still
// believe it. The operator renews a certificate that was given.
func (o *Own) Certificate() *tls.Certificate {
	if o.config.Given != nil {
		return o.renewal.current
	}

	cert, renewed := o.renewal.get(o.successor)
	if !renewed {
		return cert
	}

	// Nodes that join from now on are told this certificate.
	err := o.peers.contain(func() error { return o.peers.Store.Store(o.peers.Me, bytes.Join(cert.Certificate, nil)) })
	o.peers.Logger.Info().AnErr("stored", err).Msg("own certificate renewed")

	o.config.Renewed()

	return cert
}

// KeepRenewed looks for the next certificate in time, also when nobody connects. It returns when the
// context is done.
func (o *Own) KeepRenewed(ctx context.Context) {
	if o.config.Given != nil {
		return
	}

	for sleep(ctx, o.renewal.rest()) {
		o.Certificate()
	}
}

// rest returns how long the certificate is to be used before the node looks for the next one.
func (r *renewal) rest() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()

	return max(time.Until(r.due), time.Millisecond)
}

// get returns the certificate. If it is time, it asks next for another one before. next returns nil if
// there is none, and the time to ask again.
func (r *renewal) get(next func(old *tls.Certificate) (*tls.Certificate, time.Time),
) (cert *tls.Certificate, renewed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()

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

// successor returns the certificate that replaces the old one, or nil, and the time to ask again.
func (o *Own) successor(old *tls.Certificate) (fresh *tls.Certificate, due time.Time) {
	if o.config.Source != nil {
		return o.fromSource(old), time.Now().Add(sourcePeriod)
	}

	if due = dueOf(old); time.Now().Before(due) {
		return nil, due
	}

	if fresh = o.renew(old); fresh == nil {
		return nil, time.Now().Add(renewalPause)
	}

	return fresh, dueOf(fresh)
}

// askSource returns the certificate of the operator's function.
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

// fromSource returns the certificate of the source. It returns nil if that is the old one, or if the
// others would not believe this node by it.
func (o *Own) fromSource(old *tls.Certificate) *tls.Certificate {
	fresh, err := askSource(o.config.Source)
	if err == nil {
		before, after := bytes.Join(old.Certificate, nil), bytes.Join(fresh.Certificate, nil)
		if bytes.Equal(before, after) {
			return nil
		}

		err = o.checkSuccessor(before, after)
	}

	if err != nil {
		o.peers.Logger.Warn().Err(err).Msg("own certificate cannot be renewed")

		return nil
	}

	return fresh
}

// checkSuccessor returns an error for a certificate by which the others would not know this node.
func (o *Own) checkSuccessor(before, after certs.CertChain) error {
	if o.peers.Policy.ByAuthority {
		return o.peers.checkOwn(after)
	}

	same, err := certs.SameKey(before, after)
	if err == nil && !same {
		err = errOtherKey
	}

	return err
}

// renew makes a certificate with the same key. If it cannot, it logs why and returns nil.
func (o *Own) renew(old *tls.Certificate) (fresh *tls.Certificate) {
	err := o.peers.contain(func() error {
		signer, ok := old.PrivateKey.(crypto.Signer)
		if !ok {
			return errNoSigner
		}

		host, err := o.peers.Me.GetHostname()
		if err != nil {
			return err
		}

		fresh, err = makeCertificate(o.config.Random, signer, host)

		return err
	})
	if err != nil {
		o.peers.Logger.Warn().Err(err).Msg("own certificate cannot be renewed")

		return nil
	}

	return fresh
}

// dueOf returns when the node should replace the certificate.
func dueOf(cert *tls.Certificate) time.Time {
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return time.Now().Add(renewalPause)
	}

	return leaf.NotAfter.Add(-certRest)
}
