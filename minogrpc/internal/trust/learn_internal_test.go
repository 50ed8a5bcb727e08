package trust

import (
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// newPeers returns the peers of a node without any.
func newPeers(self string) *Peers {
	return NewPeers(Config{
		Me: session.NewAddress(self), Store: certs.NewInMemoryStore(), Max: 100, MaxAnswer: 1 << 20,
		Logger: zerolog.Nop(),
	})
}

// Promise S2: of two certificates of one node the newer one counts, in whatever order they
// come, if the node itself has signed it.
func TestPeers_NewestCertificateOfANodeStays(t *testing.T) {
	peers := newPeers("self:1")
	addr := session.NewAddress("host:1")

	c := OwnConfig{Random: rand.Reader}
	key, err := c.signingKey()
	require.NoError(t, err)
	thief, err := c.signingKey()
	require.NoError(t, err)

	made := func(days int, signer any) certs.CertChain {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(days)), NotAfter: time.Now().AddDate(0, 0, days)}
		parent := template

		if signer != key {
			parent = &x509.Certificate{SerialNumber: big.NewInt(1)}
		}

		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		require.NoError(t, err)

		return der
	}

	first, newer := made(10, key), made(20, key)

	for _, step := range []struct {
		chain   certs.CertChain
		changed bool
		stored  certs.CertChain
	}{
		{first, true, first},
		{first, false, first},
		{newer, true, newer},
		{first, false, newer},
		{made(30, thief), false, newer},
	} {
		changed, err := peers.Learn(addr, step.chain, Origin{Proved: true})
		require.NoError(t, err)
		require.Equal(t, step.changed, changed)

		stored, err := peers.Store.Load(addr)
		require.NoError(t, err)
		require.Equal(t, step.stored, stored)
	}
}
