package existing

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// tokens are what lets newcomers in, any number of them until a time.
type tokens struct {
	mu      sync.Mutex
	expires map[string]time.Time
}

func newTokens() *tokens {
	return &tokens{expires: make(map[string]time.Time)}
}

// GenerateToken returns a token with which nodes may join for that long.
func (n *Node) GenerateToken(d time.Duration) string {
	n.tokens.mu.Lock()
	defer n.tokens.mu.Unlock()

	token := rand.Text()
	n.tokens.expires[token] = time.Now().Add(d)

	return token
}

func (t *tokens) verify(token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()

	return time.Now().Before(t.expires[token])
}

// introduction is what other nodes are to know of this one.
func (n *Node) introduction() certificateChain {
	return certificateChain{address: []byte(n.me), value: n.Chain()}
}

// join lets a newcomer in, tells all the others, and returns whom this node knows.
func (n *Node) join(ctx context.Context, request []byte) ([]byte, error) {
	var r joinRequest
	if err := r.decode(request); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}

	if !n.tokens.verify(r.token) {
		return nil, fmt.Errorf("token %q is not valid", r.token)
	}

	known := n.store.all()
	n.learn(r.chain)

	var group sync.WaitGroup

	for _, peer := range known {
		addr := Address(peer.address)
		if addr == n.me || string(addr) == string(r.chain.address) {
			continue
		}

		// A node that cannot be reached misses the newcomer.
		group.Go(func() { _ = n.tell(ctx, addr, r.chain) })
	}

	group.Wait()

	return encodePeers(n.store.all()), nil
}

// tell shares the certificate of a newcomer with one node.
func (n *Node) tell(ctx context.Context, addr Address, newcomer certificateChain) error {
	conn, err := n.conns.acquire(addr)
	if err != nil {
		return err
	}

	defer n.conns.release(addr)

	_, err = invoke(ctx, conn, "Share", newcomer.encode())

	return err
}

// share learns a newcomer from another node.
func (n *Node) share(_ context.Context, request []byte) ([]byte, error) {
	var newcomer certificateChain
	if err := newcomer.decode(request); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}

	n.learn(newcomer)

	return nil, nil
}

func (n *Node) learn(peer certificateChain) {
	n.store.Put(Address(peer.address), slices.Clone(peer.value))
}

// Join makes the node a member of the network of another one, which has generated the
// token. The digest is that of the other one's chain.
func (n *Node) Join(ctx context.Context, to Address, token string, digest []byte) error {
	if err := n.fetch(ctx, to, digest); err != nil {
		return fmt.Errorf("fetch certificate of %v: %w", to, err)
	}

	conn, err := n.conns.acquire(to)
	if err != nil {
		return err
	}

	defer n.conns.release(to)

	request := joinRequest{token: token, chain: n.introduction()}

	data, err := invoke(ctx, conn, "Join", request.encode())
	if err != nil {
		return fmt.Errorf("join through %v: %w", to, err)
	}

	peers, err := decodePeers(data)
	if err != nil {
		return err
	}

	for _, peer := range peers {
		n.learn(peer)
	}

	return nil
}

// fetch stores the chain that the node at an address presents, if it has that digest.
func (n *Node) fetch(ctx context.Context, from Address, digest []byte) error {
	conn, err := n.conns.dial(ctx, from.Host())
	if err != nil {
		return err
	}

	defer func() { _ = conn.Close() }()

	// Nobody is believed here, and the error says who was not. The digest says who it must be.
	client := tls.Client(conn, &tls.Config{
		RootCAs: x509.NewCertPool(), ServerName: "fetch", NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
	})
	err = client.HandshakeContext(ctx)

	var stranger *tls.CertificateVerificationError
	if !errors.As(err, &stranger) {
		return err
	}

	var chain []byte
	for _, cert := range stranger.UnverifiedCertificates {
		chain = append(chain, cert.Raw...)
	}

	if subtle.ConstantTimeCompare(Digest(chain), digest) != 1 {
		return errors.New("wrong digest")
	}

	n.Trust(from, chain)

	return nil
}
