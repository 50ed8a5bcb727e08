package minogrpc

import (
	"context"
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/minogrpc/internal/trust"
	"google.golang.org/grpc/peer"
)

// ServeTLS tells whether the node presents a certificate. It does unless it has [NoTLS].
func (m *Minogrpc) ServeTLS() bool {
	return m.own != nil
}

// GetCertificateChain returns the chain that the node presents, both as a server and as a client. It is
// nil with [NoTLS]. The node may present another chain later: see [WithCertSource].
func (m *Minogrpc) GetCertificateChain() certs.CertChain {
	if m.own == nil {
		return nil
	}

	return m.own.Chain()
}

// GetCertificateStore returns the store of the certificates of the nodes that this one believes. The
// node at an address is the one that has the key of the certificate in the store; [WithTrust] changes
// that. The operator may write to the store. Only the operator can replace a certificate by one of
// another key: see [Minogrpc.Join]. A change counts from the next call of the node on. It also ends the
// connections with a node that it removes: see [certs.Watchable].
func (m *Minogrpc) GetCertificateStore() certs.Storage {
	return m.store
}

// setUpTrust makes what knows who is who: the peers, the certificate of the node, and the guard.
func (m *Minogrpc) setUpTrust() error {
	m.peers = trust.NewPeers(trust.Config{
		Me:        m.me,
		Store:     m.store,
		Policy:    m.trust.policy,
		Max:       m.maxPeers,
		MaxAnswer: m.maxFrame(),
		Learned:   m.learned,
		Logger:    m.logger,
	})

	if err := m.setUpCertificate(); err != nil {
		return err
	}

	m.guard = trust.NewGuard(m.peers, m.own, m.open, func(addr session.Address) { m.conns.Evict(addr) })

	return nil
}

// setUpCertificate gives a node with TLS its certificate.
func (m *Minogrpc) setUpCertificate() (err error) {
	if m.noTLS {
		return nil
	}

	if m.me.ConnectionType() == mino.ACTgRPC {
		return fmt.Errorf("the node serves TLS but advertises %v: see NoTLS", m.me)
	}

	m.own, err = trust.NewOwn(trust.OwnConfig{
		Given:   m.given,
		Source:  m.certSource,
		Secret:  m.secret,
		Public:  m.public,
		Random:  m.random,
		Renewed: m.renewed,
	}, m.peers)

	return err
}

// renewed lets the next calls use connections with the new certificate. The other ends would take calls
// over the old connections for those of a node whose certificate expires.
func (m *Minogrpc) renewed() {
	if m.conns != nil { // There are none yet while the node starts.
		m.conns.Renew()
	}
}

// keepTrust keeps the certificate of the node valid, and ends the connections of nodes that stop being
// believed, for as long as the node runs.
func (m *Minogrpc) keepTrust() {
	if m.own == nil {
		return
	}

	if !m.guard.Follow(m.host.Stopping()) {
		m.host.Go(host.Task{Name: "watch on the certificates"}, func() {
			m.guard.KeepReviewing(m.host.Stopping())
		})
	}

	if m.given == nil {
		m.host.Go(host.Task{Name: "renewal of the certificate"}, func() {
			m.own.KeepRenewed(m.host.Stopping())
		})
	}
}

// checkCaller returns an error with a status unless the caller is the node at the address, as far as
// this one asks for a proof.
func (m *Minogrpc) checkCaller(ctx context.Context, addr session.Address) error {
	return m.guard.CheckCaller(callerOf(ctx), addr)
}

// callerOf returns what the caller has proved in the handshake of its connection.
func callerOf(ctx context.Context) *trust.Caller {
	if from, ok := peer.FromContext(ctx); ok {
		if p, ok := from.AuthInfo.(proof); ok {
			return p.Caller
		}
	}

	return new(trust.Caller)
}
