package certs

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"time"
)

// fetchTimeout is how long a node may take to accept a connection and to present its certificates.
const fetchTimeout = 10 * time.Second

// fetchInto is Fetch for all the storages.
func fetchInto(store Storage, addr Dialable, digest []byte) error {
	chain, err := fetch(addr)
	if err != nil {
		return err
	}

	found := digestOf(chain)
	if subtle.ConstantTimeCompare(found, digest) != 1 {
		return fmt.Errorf("certificate of %v has another digest: %x instead of %x", addr, found, digest)
	}

	return store.Store(addr, chain)
}

// digestOf is Hash for all the storages.
func digestOf(chain CertChain) []byte {
	digest := sha256.Sum256(chain)

	return digest[:]
}

// fetch returns the chain that the node at the address presents. The handshake proves that the node has
// the key of the chain.
func fetch(addr Dialable) (CertChain, error) {
	if addr == nil {
		return nil, errNoAddress
	}

	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()

	raw, err := new(net.Dialer).DialContext(ctx, "tcp", addr.GetDialAddress())
	if err != nil {
		return nil, fmt.Errorf("fetch certificate of %v: %w", addr, err)
	}

	conn := tls.Client(raw, &tls.Config{
		// The caller verifies the chain by its digest.
		InsecureSkipVerify: true, //nolint:gosec // the digest is what is trusted
		MinVersion:         tls.VersionTLS12,
		// A gRPC server hangs up on a client that does not speak HTTP/2.
		NextProtos: []string{"h2"},
	})

	// The chain is all that matters, however the connection ends.
	defer func() { _ = conn.Close() }()

	if err = conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("fetch certificate of %v: %w", addr, err)
	}

	var parts [][]byte
	for _, cert := range conn.ConnectionState().PeerCertificates {
		parts = append(parts, cert.Raw)
	}

	return slices.Concat(parts...), nil
}
