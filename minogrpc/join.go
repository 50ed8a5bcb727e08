package minogrpc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

// joinTimeout is how long a join may take, while the node that is asked tells the others.
const joinTimeout = 30 * time.Second

var (
	errNoTLS     = errors.New("the node serves without TLS, and has no certificate")
	errOwnself   = errors.New("a node cannot join itself")
	errNoDigest  = errors.New("an https address is believed by the roots of the system, and takes no digest")
	errPlainJoin = errors.New("there are no certificates without TLS")
)

// Joinable is a node that others can form a network with, as [Minogrpc] is.
type Joinable interface {
	mino.Mino

	// ServeTLS tells whether the node presents a certificate. Without one it neither
	// joins nor lets anybody join.
	ServeTLS() bool

	// GetCertificateChain returns what the node presents, nil without TLS.
	GetCertificateChain() certs.CertChain

	// GetCertificateStore returns the store of the nodes that this one believes.
	GetCertificateStore() certs.Storage

	// GenerateToken returns a token with which a node may join through this one.
	GenerateToken(expiration time.Duration) string

	// Join makes this node one of those that the node at the address knows.
	Join(addr *url.URL, token string, certHash []byte) error
}

// GenerateToken returns a secret with which other nodes can join the network through this
// one within that time: see [Minogrpc.Join]. By default it lets in any number of them, as
// in existing networks; [WithTokens] with [tokens.WithUses] bounds the number. Whoever has
// the token can join under any address that no node has yet. A time of zero or less gives
// a token that is of no use.
func (m *Minogrpc) GenerateToken(expiration time.Duration) string {
	return m.tokens.Generate(expiration)
}

// Join makes the node a member of the network of the node at the address, which has
// generated the token. certHash is the digest of that node's certificate
// chain, by which it is recognised; its operator gets it from [certs.Storage] Hash of
// [Minogrpc.GetCertificateChain], and passes it on with the token on a way that nobody
// else can write to. A nil digest stands for the certificate that the store holds for the
// address. For an https address it must be nil, as there the roots of the system decide.
//
// Join returns when all nodes that the other one knows and can reach have learned of this one, or
// after 2 seconds; this one knows them then. The other one goes on to tell those that it has not
// reached for some minutes. A node that has joined may do so again, to learn about the nodes
// that it has missed: then the token does not matter, and none is used up.
//
// THE NODE JOINED AT IS TRUSTED: what it answers decides which keys this node believes for all
// addresses that it does not know yet. So join at a node of an operator that you trust, by a digest
// that you have from there.
//
// It never replaces a certificate in the store by that of another key. If there is one for
// the address itself, that is an error; if there is one for another node, that one stays
// as it is, which is logged. It takes up to 30 seconds, and fails when the node is
// stopped. When it returns an error, the others may have been told all the same, and the
// token may have lost a use, where its uses are bounded.
func (m *Minogrpc) Join(addr *url.URL, token string, certHash []byte) error {
	err := m.contain(func() error { return m.join(addr, token, certHash) })
	if err != nil {
		return fmt.Errorf("join through %v: %w", addr, err)
	}

	return nil
}

func (m *Minogrpc) join(to *url.URL, token string, digest []byte) error {
	if m.own == nil {
		return errNoTLS
	}

	if m.host.Stopping().Err() != nil {
		return host.ErrStopped
	}

	if to == nil {
		return errNoAddress
	}

	target, err := session.NewAddressFromURL(*to)
	if err != nil {
		return fmt.Errorf("an address is like grpcs://host:port: %w", err)
	}

	creds, err := m.joinCredentials(target, digest)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(m.host.Stopping(), joinTimeout)
	defer cancel()

	err = m.askToJoin(ctx, target, creds, token)
	if err != nil && m.host.Stopping().Err() != nil {
		return host.ErrStopped
	}

	if err != nil {
		return err
	}

	// What the roots of the system vouch for is not in the store, and need not be.
	if target.ConnectionType() == mino.ACThttps {
		return nil
	}

	return m.peers.CheckStored(target)
}

// joinCredentials returns what the node at the address must prove its identity with.
func (m *Minogrpc) joinCredentials(target session.Address, digest []byte) (credentials.TransportCredentials, error) {
	switch {
	case isSame(target, m.me):
		return nil, errOwnself
	case target.ConnectionType() == mino.ACTgRPC:
		return nil, errPlainJoin
	case target.ConnectionType() == mino.ACThttps && len(digest) > 0:
		return nil, errNoDigest
	case target.ConnectionType() == mino.ACThttps:
		return publicCredentials(), nil
	case target.ConnectionType() == mino.ACTgRPCS && len(digest) == 0 && m.trust.policy.ByAuthority:
		return m.pinned(target, func(presented []*x509.Certificate) error {
			return m.guard.CheckServer(target, presented)
		}), nil
	case len(digest) == 0:
		return m.clientCredentials(target)
	default:
		return m.pinned(target, func(presented []*x509.Certificate) error {
			return m.peers.CheckDigest(target, presented, digest)
		}), nil
	}
}

// askToJoin joins at the node at the address, over a connection of its own, as that node may not
// be known yet. It learns what the node knows, and, if the others are told meanwhile, once more what
// it knows when they have been.
func (m *Minogrpc) askToJoin(ctx context.Context, target session.Address, creds credentials.TransportCredentials,
	token string,
) error {
	// As in the ConnManager: the dialler resolves the name.
	conn, err := grpc.NewClient("passthrough:///"+target.GetDialAddress(),
		append([]grpc.DialOption{grpc.WithTransportCredentials(creds)}, m.dialOptions()...)...)
	if err != nil {
		return err
	}

	defer func() { _ = conn.Close() }() // it is closed by nobody else

	ask := func(request *ptypes.JoinRequest) (*ptypes.JoinResponse, error) {
		request.Token, request.Chain = token, m.introduction()

		return ptypes.NewOverlayClient(conn).Join(ctx, request)
	}

	return m.peers.LearnFrom(ctx, ask)
}

// introduction returns what other nodes are to know of this one.
func (m *Minogrpc) introduction() *ptypes.CertificateChain {
	return &ptypes.CertificateChain{Address: []byte(m.text), Value: m.GetCertificateChain()}
}

// asCaller returns the metadata by which the node says who it is where the call itself
// does not.
func (m *Minogrpc) asCaller(ctx context.Context) context.Context {
	return metadata.NewOutgoingContext(ctx, metadata.Pairs(session.GatewayKey, m.text))
}

// tell shares the chain of a newcomer with another node.
func (m *Minogrpc) tell(ctx context.Context, addr session.Address, chain *ptypes.CertificateChain) error {
	conn, err := m.conns.Acquire(addr)
	if err != nil {
		return err
	}

	defer m.conns.Release(addr)

	_, err = ptypes.NewOverlayClient(conn).Share(m.asCaller(ctx), chain)

	return err
}
