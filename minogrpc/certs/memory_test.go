package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var (
	addrA = session.NewAddress("127.0.0.1:2000")
	addrB = session.NewAddress("127.0.0.1:2001")
)

func TestInMemoryStore_KeepsOneChainPerNode(t *testing.T) {
	var store certs.Storage = certs.NewInMemoryStore()

	chain, err := store.Load(addrA)
	require.NoError(t, err)
	require.Nil(t, chain)

	require.NoError(t, store.Store(session.NewOrchestratorAddress(addrA), certs.CertChain("old")))
	require.NoError(t, store.Store(addrA, certs.CertChain("a")))
	require.NoError(t, store.Store(addrB, certs.CertChain("b")))

	for _, addr := range []mino.Address{addrA, session.NewOrchestratorAddress(addrA)} {
		chain, err = store.Load(addr)
		require.NoError(t, err)
		require.Equal(t, certs.CertChain("a"), chain)
	}

	require.NoError(t, store.Delete(session.NewOrchestratorAddress(addrA)))
	require.NoError(t, store.Delete(addrA))

	chain, err = store.Load(addrA)
	require.NoError(t, err)
	require.Nil(t, chain)

	chain, err = store.Load(addrB)
	require.NoError(t, err)
	require.Equal(t, certs.CertChain("b"), chain)
}

func TestInMemoryStore_CopiesWhatItStores(t *testing.T) {
	store := certs.NewInMemoryStore()
	chain := certs.CertChain("a")
	require.NoError(t, store.Store(addrA, chain))

	chain[0] = 'b'

	stored, err := store.Load(addrA)
	require.NoError(t, err)
	require.Equal(t, certs.CertChain("a"), stored)
}

func TestInMemoryStore_RefusesWhatReadsAsUnknown(t *testing.T) {
	store := certs.NewInMemoryStore()

	require.Error(t, store.Store(nil, certs.CertChain("a")))
	require.Error(t, store.Store(addrA, nil))
	require.Error(t, store.Store(addrA, certs.CertChain{}))
}

func TestInMemoryStore_RangeMayUseTheStore(t *testing.T) {
	store := certs.NewInMemoryStore()
	require.NoError(t, store.Store(addrA, certs.CertChain("a")))
	require.NoError(t, store.Store(addrB, certs.CertChain("b")))

	seen := map[mino.Address]string{}

	require.NoError(t, store.Range(func(addr mino.Address, chain certs.CertChain) bool {
		seen[addr] = string(chain)

		require.NoError(t, store.Delete(addrA))
		require.NoError(t, store.Delete(addrB))

		return true
	}))
	require.Equal(t, map[mino.Address]string{addrA: "a", addrB: "b"}, seen)
}

func TestInMemoryStore_RangeStops(t *testing.T) {
	store := certs.NewInMemoryStore()
	require.NoError(t, store.Store(addrA, certs.CertChain("a")))
	require.NoError(t, store.Store(addrB, certs.CertChain("b")))

	calls := 0

	require.NoError(t, store.Range(func(mino.Address, certs.CertChain) bool {
		calls++

		return false
	}))
	require.Equal(t, 1, calls)
}

// present runs a server that presents a chain of two certificates.
func present(t *testing.T) (certs.Dialable, certs.CertChain) {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)

	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der, der}, PrivateKey: key}},
		MinVersion:   tls.VersionTLS13,
	})
	require.NoError(t, err)

	done := make(chan struct{})

	go func() {
		defer close(done)

		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}

			_, _ = conn.Read(make([]byte, 1)) // the handshake, and the end
			_ = conn.Close()
		}
	}()

	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		<-done
	})

	return session.NewAddress(listener.Addr().String()), append(der, der...)
}

func TestInMemoryStore_FetchStoresAChainOfThatDigest(t *testing.T) {
	store := certs.NewInMemoryStore()
	addr, chain := present(t)
	digest, err := store.Hash(chain)
	require.NoError(t, err)
	require.Len(t, digest, 32)

	require.NoError(t, store.Fetch(addr, digest))

	stored, err := store.Load(addr)
	require.NoError(t, err)
	require.Equal(t, chain, stored)
}

func TestInMemoryStore_FetchRefusesAnyOtherChain(t *testing.T) {
	store := certs.NewInMemoryStore()
	addr, chain := present(t)
	leaf, err := store.Hash(chain[:len(chain)/2])
	require.NoError(t, err)

	for _, digest := range [][]byte{nil, {}, leaf, make([]byte, 32)} {
		require.ErrorContains(t, store.Fetch(addr, digest), "another digest")
	}

	stored, err := store.Load(addr)
	require.NoError(t, err)
	require.Nil(t, stored)
}

func TestInMemoryStore_FetchNeedsANode(t *testing.T) {
	store := certs.NewInMemoryStore()

	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())

	require.ErrorContains(t, store.Fetch(session.NewAddress(listener.Addr().String()), nil), "connection refused")
	require.Error(t, store.Fetch(nil, nil))
}
