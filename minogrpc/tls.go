package minogrpc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// errPlainPeer is why a node that proves who it is does not talk to one that cannot.
var errPlainPeer = errors.New("a plain address proves nothing: see AllowUnauthenticatedPeers")

// errNothingPresented is for a server without a certificate.
var errNothingPresented = errors.New("no certificate was presented")

// serverCredentials returns what the node proves its identity with. Whatever certificate
// a client presents is fine as long as it has the key: what the client may do with it is
// decided at each call, by what the store holds then.
func (m *Minogrpc) serverCredentials() credentials.TransportCredentials {
	if m.cert == nil {
		return insecure.NewCredentials()
	}

	return watchedCredentials{
		TransportCredentials: credentials.NewTLS(&tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return m.certificate(), nil },
			MinVersion:     m.minTLS(),
			ClientAuth:     tls.RequestClientCert,
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

// watchedCredentials tell of the handshakes that fail, and confine those who are not in
// the store.
type watchedCredentials struct {
	credentials.TransportCredentials

	node *Minogrpc
}

// proof is what a caller has proved in the handshake.
type proof struct {
	credentials.CommonAuthInfo

	// leaf is the certificate whose key the caller has, or nil, and chain begins with it.
	leaf  *x509.Certificate
	chain []*x509.Certificate
	// conn is nil where the connection does not come from the listener of the node.
	conn *accepted
}

// AuthType implements credentials.AuthInfo.
func (proof) AuthType() string {
	return "tls"
}

// ServerHandshake implements credentials.TransportCredentials.
func (c watchedCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		c.node.handshakeFailed(raw.RemoteAddr(), err)

		return nil, nil, err
	}

	caller, err := c.identify(raw, info)
	if err != nil {
		c.node.refused(Refusal{Peer: raw.RemoteAddr(), Err: err})

		return nil, nil, err
	}

	return conn, caller, nil
}

// identify returns what the caller has proved, and confines it if it is a stranger. The
// error has a status.
func (c watchedCredentials) identify(raw net.Conn, info credentials.AuthInfo) (proof, error) {
	var caller proof

	state, _ := info.(credentials.TLSInfo)
	caller.CommonAuthInfo = state.CommonAuthInfo
	caller.conn, _ = raw.(*accepted)

	if presented := state.State.PeerCertificates; len(presented) > 0 {
		caller.leaf, caller.chain = presented[0], presented

		if size := len(slices.Concat(rawOf(presented)...)); size > maxChain {
			return proof{}, status.Errorf(codes.ResourceExhausted, "certificates of more than %d bytes", maxChain)
		}
	}

	if caller.conn == nil || !c.node.strict() || c.node.knowsCaller(caller.chain) {
		return caller, nil
	}

	return caller, caller.conn.confine()
}

// Clone implements credentials.TransportCredentials.
func (c watchedCredentials) Clone() credentials.TransportCredentials {
	c.TransportCredentials = c.TransportCredentials.Clone()

	return c
}

// clientCredentials returns what the node at the address must prove its identity
// with. It fails when nothing would be believed, so that nobody dials in vain.
func (m *Minogrpc) clientCredentials(addr mino.Address) (credentials.TransportCredentials, error) {
	peer, err := follower(addr)
	if err != nil {
		return nil, err
	}

	switch peer.ConnectionType() {
	case mino.ACTgRPC:
		if m.strict() {
			return nil, fmt.Errorf("%v: %w", peer, errPlainPeer)
		}

		return insecure.NewCredentials(), nil
	case mino.ACThttps:
		return publicCredentials(), nil
	default:
	}

	if err = m.checkStored(peer); err != nil {
		return nil, err
	}

	return m.pinned(peer, func(presented []*x509.Certificate) error {
		return m.checkServer(peer, presented)
	}), nil
}

// publicCredentials trust the roots of the system, for what stands in front of a node.
// Who the client is would not be told to the node behind it.
func publicCredentials() credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
}

// pinned returns credentials by which the node presents its own certificate, and believes
// the server at the address if check returns nil for the certificates that it presents.
// The roots of the system have no say. It is asked at each handshake, so that a connection
// that is kept, and comes up again after a while, believes what counts by then.
func (m *Minogrpc) pinned(peer session.Address, check func(presented []*x509.Certificate) error,
) credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{
		MinVersion: m.minTLS(),
		// In place of the verification by roots, which knows neither the key nor the port.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection decides
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return errNothingPresented
			}

			// gRPC shakes hands in a goroutine of its own, where nobody contains the store.
			err := m.contain(func() error { return check(state.PeerCertificates) })
			if err != nil {
				return fmt.Errorf("failed to verify certificate of %v: %w", peer, err)
			}

			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if m.cert == nil {
				return new(tls.Certificate), nil
			}

			return m.certificate(), nil
		},
	})
}
