package minogrpc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/internal/gate"
	"github.com/minogrpc/session/minogrpc/internal/trust"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// errPlainPeer is for a plain address, which a node that believes only proofs does not dial.
var errPlainPeer = errors.New("a plain address proves nothing: see AllowUnauthenticatedPeers")

// errPublic is for an https address that the node does not dial.
var errPublic = errors.New("the operator has not named this https address: see WithHTTPSPeers")

// serverCredentials returns the credentials by which the node proves its identity to clients. A client may
// present any certificate whose key it has. The guard decides at each call what the client may do, by
// what the store holds then.
func (m *Minogrpc) serverCredentials() credentials.TransportCredentials {
	rules := m.headerRules()

	if m.own == nil {
		return plainCredentials{TransportCredentials: insecure.NewCredentials(), rules: rules}
	}

	return watchedCredentials{
		rules: rules,
		TransportCredentials: credentials.NewTLS(&tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return m.own.Certificate(), nil },
			MinVersion:     m.minTLS(),
			ClientAuth:     tls.RequestClientCert,
			// It runs before the client proves that it has the key. So a client cannot hold a
			// connection open with certificates that the node refuses.
			VerifyPeerCertificate: func(presented [][]byte, _ [][]*x509.Certificate) error {
				return checkPresented(presented)
			},
			// Our clients do not resume, and with tickets each handshake would make two.
			SessionTicketsDisabled: true,
		}),
		node: m,
	}
}

// minTLS returns the oldest version of TLS that the node speaks to others.
func (m *Minogrpc) minTLS() uint16 {
	if m.open {
		return tls.VersionTLS12
	}

	return tls.VersionTLS13
}

// checkPresented returns an error for more certificates than an honest node has. In memory a small
// certificate takes many times its size.
func checkPresented(presented [][]byte) error {
	size := 0
	for _, cert := range presented {
		size += len(cert)
	}

	if len(presented) > maxCertificates || size > trust.MaxChain {
		return fmt.Errorf("%d certificates of %d bytes are more than %d, or than %d bytes",
			len(presented), size, maxCertificates, trust.MaxChain)
	}

	return nil
}

// plainCredentials are for callers that prove nothing. They count the headers of these callers.
type plainCredentials struct {
	credentials.TransportCredentials

	rules gate.Rules
}

// ServerHandshake implements credentials.TransportCredentials.
func (c plainCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}

	return guarded(conn, raw, c.rules), info, nil
}

// Clone implements credentials.TransportCredentials.
func (c plainCredentials) Clone() credentials.TransportCredentials {
	c.TransportCredentials = c.TransportCredentials.Clone()

	return c
}

// watchedCredentials report the handshakes that fail, and confine the callers that are not in the store.
type watchedCredentials struct {
	credentials.TransportCredentials

	node  *Minogrpc
	rules gate.Rules
}

// proof has what a caller has proved in the handshake. Each call of the connection gets it.
type proof struct {
	credentials.CommonAuthInfo

	*trust.Caller
}

// AuthType implements credentials.AuthInfo.
func (proof) AuthType() string {
	return "tls"
}

// ServerHandshake implements credentials.TransportCredentials.
func (c watchedCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.shakeHands(raw)
	if err != nil {
		c.node.handshakeFailed(raw, err)

		return nil, nil, err
	}

	caller, err := c.identify(raw, info)
	if err != nil {
		c.node.refused(Refusal{Peer: raw.RemoteAddr(), Err: err})

		return nil, nil, err
	}

	return guarded(conn, raw, c.rules), caller, nil
}

// shakeHands does the handshake of TLS when there is room for it.
func (c watchedCredentials) shakeHands(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if own, ok := raw.(*accepted); ok {
		room := own.listener.handshakes
		if err := own.enter(room); err != nil {
			return nil, nil, err
		}

		defer own.leave(room)
	}

	return c.TransportCredentials.ServerHandshake(raw)
}

// identify returns what the caller has proved. It confines a stranger. The error has a status.
func (c watchedCredentials) identify(raw net.Conn, info credentials.AuthInfo) (proof, error) {
	state, _ := info.(credentials.TLSInfo)
	caller := proof{state.CommonAuthInfo, &trust.Caller{Chain: state.State.PeerCertificates}}

	conn, ok := raw.(*accepted)
	if !ok {
		return caller, nil
	}

	caller.Conn = conn
	known := func() bool { return c.node.peers.Knows(caller.Chain) }

	if c.node.guard.Strict() && !known() {
		return caller, conn.confine(known)
	}

	conn.Free()

	return caller, nil
}

// Clone implements credentials.TransportCredentials.
func (c watchedCredentials) Clone() credentials.TransportCredentials {
	c.TransportCredentials = c.TransportCredentials.Clone()

	return c
}

// clientCredentials returns the credentials by which the node at the address must prove its identity. It
// fails if this node would believe no proof, so that nobody dials in vain.
func (m *Minogrpc) clientCredentials(addr mino.Address) (credentials.TransportCredentials, error) {
	peer, err := host.PeerOf(addr)
	if err != nil {
		return nil, err
	}

	switch peer.ConnectionType() {
	case mino.ACTgRPC:
		if m.guard.Strict() {
			return nil, fmt.Errorf("%v: %w", peer, errPlainPeer)
		}

		return insecure.NewCredentials(), nil
	case mino.ACThttps:
		if err = m.checkPublic(peer); err != nil {
			return nil, err
		}

		return publicCredentials(), nil
	default:
	}

	if err = m.peers.MayDial(peer); err != nil {
		return nil, err
	}

	return m.pinned(peer, func(presented []*x509.Certificate) error {
		return m.guard.CheckServer(peer, presented)
	}), nil
}

// checkPublic returns an error unless the operator lets the node dial an https address. The roots of the
// system decide there, so that anybody can have a certificate, and any player can name an address.
func (m *Minogrpc) checkPublic(addr session.Address) error {
	if _, said := m.httpsPeers[spelling.Key(addr.GetDialAddress())]; said || m.own == nil {
		return nil
	}

	vouched, err := m.peers.IsVouched(addr)
	if vouched {
		return nil
	}

	return errors.Join(fmt.Errorf("%v: %w", addr, errPublic), err)
}

// publicCredentials trust the roots of the system, for a proxy in front of a node. This node presents no
// certificate, because the proxy would not pass it on.
func publicCredentials() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
}

// pinned returns credentials by which the node presents its own certificate. It believes the server at the
// address if check returns nil for the certificates of the server. The roots of the system have no say.
// Each handshake calls check, so that a connection that gRPC sets up again later goes by what counts
// then.
func (m *Minogrpc) pinned(peer session.Address, check func(presented []*x509.Certificate) error,
) credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		MinVersion: m.minTLS(),
		// VerifyConnection replaces the verification by roots, which knows neither the key nor the port.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection decides
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return trust.ErrNothingPresented
			}

			// gRPC shakes hands in a goroutine of its own, where nobody else contains a panic of the
			// store.
			err := m.contain(func() error { return check(state.PeerCertificates) })
			if err != nil {
				return fmt.Errorf("failed to verify certificate of %v: %w", peer, err)
			}

			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if m.own == nil {
				return new(tls.Certificate), nil
			}

			return m.own.Certificate(), nil
		},
	})
}
