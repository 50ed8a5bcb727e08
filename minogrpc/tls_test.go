package minogrpc_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// leafOf returns the certificate that a node presents.
func leafOf(t *testing.T, node *minogrpc.Minogrpc) *x509.Certificate {
	t.Helper()

	parsed, err := x509.ParseCertificates(node.GetCertificateChain())
	require.NoError(t, err)

	return parsed[0]
}

func TestTLS_NodeMakesACertificateForItsHost(t *testing.T) {
	node := start(t)
	require.True(t, node.ServeTLS())

	leaf := leafOf(t, node)
	require.NoError(t, leaf.VerifyHostname("127.0.0.1"))
	require.Equal(t, elliptic.P256(), leaf.PublicKey.(*ecdsa.PublicKey).Curve)
	require.True(t, leaf.NotBefore.Before(time.Now().Add(-time.Minute)))
	require.True(t, leaf.NotAfter.After(time.Now().Add(300*24*time.Hour)))

	other := leafOf(t, start(t))
	require.NotEqual(t, leaf.SerialNumber, other.SerialNumber)

	stored, err := node.GetCertificateStore().Load(node.GetAddress())
	require.NoError(t, err)
	require.Equal(t, node.GetCertificateChain(), stored)

	named, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0),
		&url.URL{Host: "node.example.org:2000"}, tree.NewRouter(minogrpc.NewAddressFactory()))
	require.NoError(t, err)
	require.NoError(t, leafOf(t, named).VerifyHostname("node.example.org"))
	require.NoError(t, named.Stop())
}

func TestTLS_NodeUsesTheKeyThatItIsGiven(t *testing.T) {
	public, secret, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)

	for _, opt := range []minogrpc.Option{
		minogrpc.WithCertificateKey(secret, public),
		minogrpc.WithCertificateKey(secret, nil),
	} {
		require.Equal(t, public, leafOf(t, start(t, opt)).PublicKey)
	}
}

func TestTLS_NodePresentsTheCertificateThatItIsGiven(t *testing.T) {
	made := start(t)
	store := certs.NewInMemoryStore()

	_, secret, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)

	leaf := leafOf(t, start(t, minogrpc.WithCertificateKey(secret, nil)))
	cert := &tls.Certificate{Certificate: [][]byte{leaf.Raw, made.GetCertificateChain()}, PrivateKey: secret}
	node := start(t, minogrpc.WithCert(cert), minogrpc.WithStorage(store))
	require.EqualValues(t, append(leaf.Raw, made.GetCertificateChain()...), node.GetCertificateChain())
	require.Same(t, store, node.GetCertificateStore())

	rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
	requireCall(t, rpc, node)
}

func TestTLS_PlainNodeHasNoCertificate(t *testing.T) {
	node := start(t, minogrpc.NoTLS())
	require.False(t, node.ServeTLS())
	require.Nil(t, node.GetCertificateChain())

	require.NoError(t, node.GetCertificateStore().Range(func(mino.Address, certs.CertChain) bool {
		t.Error("the store is not empty")

		return false
	}))
}

func TestTLS_PlainAndSecureNodesMayTalk(t *testing.T) {
	secure := start(t, minogrpc.AllowUnauthenticatedPeers())
	plain := start(t, minogrpc.NoTLS())
	require.NoError(t, plain.GetCertificateStore().Store(secure.GetAddress(), secure.GetCertificateChain()))

	requireCall(t, mino.MustCreateRPC(secure, rpcName, echo, texts{}), secure)
	requireCall(t, mino.MustCreateRPC(plain, rpcName, echo, texts{}), secure, plain)
}

func TestTLS_ServerMustPresentWhatTheStoreHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		node, peer := startIn(t, network, "grpcs://n1:1"), startIn(t, network, "grpcs://n2:1")
		other := startIn(t, network, "grpcs://n3:1")
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		mino.MustCreateRPC(peer, rpcName, echo, texts{})
		require.NoError(t, peer.GetCertificateStore().Store(node.GetAddress(), node.GetCertificateChain()))
		store := node.GetCertificateStore()

		require.NoError(t, store.Store(peer.GetAddress(), other.GetCertificateChain()))

		responses, err := rpc.Call(t.Context(), text("hello"), playersOf(peer))
		require.NoError(t, err)
		_, err = (<-responses).GetMessageOrError()
		require.ErrorContains(t, err, "another key is stored for the address")

		_, _, err = rpc.Stream(t.Context(), playersOf(peer))
		require.ErrorContains(t, err, "another key is stored for the address")

		// The connection is still there, and asks again when it tries again.
		require.NoError(t, store.Store(peer.GetAddress(), peer.GetCertificateChain()))
		time.Sleep(2 * time.Second)
		requireCall(t, rpc, peer)
	})
}

func TestTLS_ServerMustBeTheHostOfItsAddress(t *testing.T) {
	node, peer := start(t), start(t)
	rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})

	named := session.NewAddress(strings.Replace(peer.GetAddress().String(), "127.0.0.1", "localhost", 1))
	require.NoError(t, node.GetCertificateStore().Store(named, peer.GetCertificateChain()))

	_, _, err := rpc.Stream(t.Context(), mino.NewAddresses(named))
	require.ErrorContains(t, err, "failed to verify certificate")
}

func TestTLS_MalformedCertificateIsNotDialled(t *testing.T) {
	node, peer := start(t), start(t)
	rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
	require.NoError(t, node.GetCertificateStore().Store(peer.GetAddress(), certs.CertChain{1, 2, 3}))

	_, _, err := rpc.Stream(t.Context(), playersOf(peer))
	require.ErrorContains(t, err, "malformed certificate")
}

func TestTLS_UnknownServerIsNotDialled(t *testing.T) {
	node := start(t)
	rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})

	listener := listen(t)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })

	stranger := node.GetAddressFactory().FromText([]byte("FB" + listener.Addr().String()))

	_, _, err := rpc.Stream(t.Context(), mino.NewAddresses(stranger))
	require.ErrorContains(t, err, "no certificate is known for "+stranger.String())

	require.NoError(t, listener.(*net.TCPListener).SetDeadline(time.Now()))
	_, err = listener.Accept()
	require.ErrorContains(t, err, "i/o timeout", "somebody has dialled")
}

func TestTLS_FetchGetsTheChainOfANode(t *testing.T) {
	node, peer := start(t), start(t)
	rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
	mino.MustCreateRPC(peer, rpcName, handler{process: func(mino.Request) (serde.Message, error) {
		return text("fetched"), nil
	}}, texts{})

	digest, err := peer.GetCertificateStore().Hash(peer.GetCertificateChain())
	require.NoError(t, err)
	require.NoError(t, node.GetCertificateStore().Fetch(peer.GetAddress().(certs.Dialable), digest))
	require.NoError(t, peer.GetCertificateStore().Store(node.GetAddress(), node.GetCertificateChain()))
	requireCall(t, rpc, peer)
}
