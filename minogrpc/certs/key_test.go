package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

// newKey returns a key on the curve that the nodes use.
func newKey(t *testing.T) crypto.Signer {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	return key
}

// issue returns a chain of one certificate for the key, signed by the key.
func issue(t *testing.T, key crypto.Signer, name string) certs.CertChain {
	t.Helper()

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)

	return der
}

// Promise S2: a node keeps its identity as long as it keeps its key.
func TestSameKey_IsTheKeyOfTheNodeAlone(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)

	key, other := newKey(t), newKey(t)
	leaf, renewed := issue(t, key, "a"), issue(t, key, "renewed")
	authority := issue(t, other, "authority")

	for name, tt := range map[string]struct {
		a, b certs.CertChain
		want bool
	}{
		"same certificate":        {leaf, leaf, true},
		"renewed":                 {leaf, renewed, true},
		"renewed with more":       {slices.Concat(leaf, authority), renewed, true},
		"another key":             {leaf, issue(t, other, "a"), false},
		"another algorithm":       {leaf, issue(t, ed, "a"), false},
		"the key is of the other": {slices.Concat(leaf, authority), authority, false},
	} {
		same, err := certs.SameKey(tt.a, tt.b)
		require.NoError(t, err, name)
		require.Equal(t, tt.want, same, name)

		same, err = certs.SameKey(tt.b, tt.a)
		require.NoError(t, err, name)
		require.Equal(t, tt.want, same, name)
	}
}

func TestSameKey_SaysWhichChainIsMalformed(t *testing.T) {
	good := issue(t, newKey(t), "a")

	for name, bad := range map[string]certs.CertChain{
		"nil":       nil,
		"empty":     {},
		"garbage":   certs.CertChain("garbage"),
		"truncated": good[:len(good)-1],
		"more":      slices.Concat(good, certs.CertChain("garbage")),
	} {
		same, err := certs.SameKey(bad, good)
		require.ErrorContains(t, err, "first chain: ", name)
		require.False(t, same, name)

		same, err = certs.SameKey(good, bad)
		require.ErrorContains(t, err, "second chain: ", name)
		require.False(t, same, name)
	}
}
