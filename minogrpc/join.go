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

// Joinable is a node with which others can form a network. [Minogrpc] is one.
type Joinable interface {
	mino.Mino

	// ServeTLS tells whether the node presents a certificate. A node without one cannot join, and no
	// other node can join through it.
	ServeTLS() bool

	// GetCertificateChain returns the chain that the node presents, or nil without TLS.
	GetCertificateChain() certs.CertChain

	// GetCertificateStore returns the store of the certificates of the nodes that this one believes.
	GetCertificateStore() certs.Storage

	// GenerateToken returns a token with which other nodes may join through this one.
	GenerateToken(expiration time.Duration) string

	// Join makes this node a member of the network of the node at the address.
	Join(addr *url.URL, token string, certHash []byte) error
}

// GenerateToken returns a secret with which other nodes can join the network through this one until the
// expiration has passed: see [Minogrpc.Join]. By default a token lets in any number of nodes, as in
// existing networks; [WithTokens] with [tokens.WithUses] bounds the number. A node with the token can
// join under any address that no node has yet. If the expiration is zero or negative, the token is of
// no use.
func (m *Minogrpc) GenerateToken(expiration time.Duration) string {
	return m.tokens.Generate(expiration)
}

// Join makes the node a member of the network of the node at the address, the sponsor. The sponsor has
// generated the token. certHash is the digest of the sponsor's certificate chain, by which this node
// recognises the sponsor. The operator of the sponsor gets the digest from [certs.Storage] Hash of
// [Minogrpc.GetCertificateChain], and passes it on with the token on a way that nobody else can write
// to. With a nil digest, the store must hold the certificate of the sponsor; with [Authorities] and a
// grpcs:// address the authorities decide instead. For an https:// address the digest must be nil,
// because the roots of the system decide.
//
// When Join returns, this node knows the nodes that the sponsor knows. The sponsor has told them of
// this node, or has tried for 2 seconds. For about 17 minutes it tries again the nodes that it has not
// reached, except those of which it has only heard from another member. A member may join again, to
// learn of nodes that it has missed. It needs no token for that, and uses none up.
//
// THIS NODE TRUSTS THE SPONSOR: the sponsor's answer decides which keys this node believes for all
// addresses that it does not know yet. So join at a node of an operator that you trust, with a digest
// that you have from that operator.
//
// With [PinnedKeys], Join never replaces a certificate in the store by one of another key. A stored
// certificate of another key for the sponsor is an error. One for any other node stays as it is, and
// the node logs that. With [Authorities] a certificate replaces one that ends earlier.
//
// Join takes up to 30 seconds. It fails without TLS, and when the node is stopped. If it returns an
// error, the other nodes may have been told all the same, and the token may have lost a use.
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

	// The certificate of an https address is not in the store: the roots of the system vouch for it.
	if target.ConnectionType() == mino.ACThttps {
		return nil
	}

	return m.peers.CheckStored(target)
}

// joinCredentials returns the credentials by which the node at the address must prove its identity.
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

// askToJoin joins at the node at the address and learns what that node knows. It uses a connection of
// its own, because the node may not be known yet.
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

// introduction returns the address and the chain of this node, for the others.
func (m *Minogrpc) introduction() *ptypes.CertificateChain {
	return &ptypes.CertificateChain{Address: []byte(m.text), Value: m.GetCertificateChain()}
}

// asCaller adds the metadata by which the node says who it is, for a call that does not say it itself.
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
