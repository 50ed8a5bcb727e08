package trust

import (
	"crypto/rand"
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

// countedStore counts how often all of it is read.
type countedStore struct {
	certs.Storage

	reads int
}

func (s *countedStore) Range(fn func(mino.Address, certs.CertChain) bool) error {
	s.reads++

	return s.Storage.Range(fn)
}

// newLeaf returns a certificate with a key of its own.
func newLeaf(t *testing.T) *x509.Certificate {
	t.Helper()

	c := OwnConfig{Random: rand.Reader}
	signer, err := c.signingKey()
	require.NoError(t, err)
	cert, err := makeCertificate(c.Random, signer, "host")
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	require.NoError(t, err)

	return leaf
}

// Promise S3: strangers cannot make a node read its store again and again.
func TestKeyring_ReadsTheStoreOnceInASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ring keyring

		store := &countedStore{Storage: certs.NewInMemoryStore()}
		known, stranger := newLeaf(t), newLeaf(t)
		require.NoError(t, store.Store(session.NewAddress("a:1"), known.Raw))

		for range 100 {
			require.True(t, ring.knows(store, known))
			require.False(t, ring.knows(store, stranger))
		}

		require.Equal(t, 1, store.reads)

		// A node that somebody else stores is known a second later. One that this node stores is known
		// at once.
		require.NoError(t, store.Store(session.NewAddress("b:1"), stranger.Raw))
		time.Sleep(keyringAge)
		require.True(t, ring.knows(store, stranger))
		require.Equal(t, 2, store.reads)

		newcomer := newLeaf(t)
		ring.add(session.NewAddress("c:1"), newcomer)
		require.NoError(t, store.Store(session.NewAddress("c:1"), newcomer.Raw))
		require.True(t, ring.knows(store, newcomer))
		require.Equal(t, 2, store.reads)
	})
}

// Promise S4: a key that the operator removes is that of a stranger at once.
func TestKeyring_ForgetsAtOnceWhatIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ring keyring

		store := &countedStore{Storage: certs.NewInMemoryStore()}
		removed, other := newLeaf(t), newLeaf(t)
		addr := session.NewAddress("a:1")
		require.NoError(t, store.Store(addr, removed.Raw))
		require.True(t, ring.knows(store, removed))

		require.NoError(t, store.Delete(addr))
		require.False(t, ring.knows(store, removed))

		// Another node may take its place.
		require.NoError(t, store.Store(addr, removed.Raw))
		require.True(t, ring.knows(store, removed))
		require.NoError(t, store.Store(addr, other.Raw))
		require.False(t, ring.knows(store, removed))
	})
}
