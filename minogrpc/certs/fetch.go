package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"time"
)

// fetchTimeout is how long a node may take to accept a connection and to present
// its certificates.
const fetchTimeout = 10 * time.Second

// fetch returns the chain that the node at the address presents, whatever it is.
// The handshake proves that the node has the key of it.
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
		// There is nothing to verify the chain with yet: the caller compares it with
		// a digest that it has from elsewhere.
		InsecureSkipVerify: true, //nolint:gosec // the digest is what is trusted
		MinVersion:         tls.VersionTLS12,
		// A gRPC server hangs up on a client that does not speak HTTP/2.
		NextProtos: []string{"h2"},
	})

	// What the server thinks of a connection that ends at once is of no interest.
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
