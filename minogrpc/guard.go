package minogrpc

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
)

// reviewPeriod is how often a node looks at all its connections, where nothing tells it of a
// change.
const reviewPeriod = 5 * time.Second

// guard knows the connections whose other ends have proved who they are. It ends those of a node
// that is not believed any more, and with them the streams: both ends then try to go on over a
// new connection, which is refused.
type guard struct {
	mu sync.Mutex
	// callers are the addresses that the other end of a connection has proved to be, with the
	// certificates of that connection.
	callers map[*accepted]*callerProof
	// servers are the certificates of the nodes that this one has dialled.
	servers map[session.Address][]*x509.Certificate
}

// callerProof is what the caller of one connection has proved.
type callerProof struct {
	chain []*x509.Certificate
	addrs map[session.Address]struct{}
}

// watch notes that the caller of a connection has proved an address.
func (g *guard) watch(conn *accepted, addr session.Address, chain []*x509.Certificate) {
	g.mu.Lock()
	defer g.mu.Unlock()

	// The connection may have ended meanwhile, and nothing would forget it again.
	if conn.closed.Load() {
		return
	}

	if g.callers == nil {
		g.callers = make(map[*accepted]*callerProof)
	}

	proof := g.callers[conn]
	if proof == nil {
		proof = &callerProof{chain: chain, addrs: make(map[session.Address]struct{})}
		g.callers[conn] = proof
	}

	proof.addrs[addr] = struct{}{}
}

// forget notes that a connection has ended.
func (g *guard) forget(conn *accepted) {
	g.mu.Lock()
	defer g.mu.Unlock()

	delete(g.callers, conn)
}

// dialled notes what the node at the address has proved itself with.
func (g *guard) dialled(addr session.Address, chain []*x509.Certificate) {
	g.mu.Lock()
	defer g.mu.Unlock()

	if g.servers == nil {
		g.servers = make(map[session.Address][]*x509.Certificate)
	}

	g.servers[addr] = chain
}

// connected is one end of a connection that was proved.
type connected struct {
	addr  session.Address
	chain []*x509.Certificate
	// conn is nil for a connection that this node has dialled.
	conn *accepted
}

// all returns the connections with the node at the address, or with all of them for nil.
func (g *guard) all(addr *session.Address) (found []connected) {
	g.mu.Lock()
	defer g.mu.Unlock()

	for conn, proof := range g.callers {
		for each := range proof.addrs {
			if addr == nil || each == *addr {
				found = append(found, connected{each, proof.chain, conn})
			}
		}
	}

	for each, chain := range g.servers {
		if addr == nil || each == *addr {
			found = append(found, connected{each, chain, nil})
		}
	}

	return found
}

// keepWatch ends the connections of those who stop being believed, for as long as the node runs.
func (m *Minogrpc) keepWatch() {
	if m.cert == nil {
		return
	}

	watchable, ok := m.store.(certs.Watchable)
	if ok {
		stop := watchable.Watch(func(addr mino.Address) {
			if peer, err := host.PeerOf(addr); err == nil {
				m.review(&peer)
			}
		})
		context.AfterFunc(m.host.Stopping(), stop)
	}

	if ok && m.trust.revoked == nil {
		return
	}

	m.host.Go(host.Task{Name: "watch on the certificates"}, func() {
		for sleep(m.host.Stopping(), reviewPeriod) {
			m.review(nil)
		}
	})
}

// review looks again at the connections with the node at the address, or with all for nil, and
// ends those that would not be let in now. The store and the revocation check are somebody
// else's.
func (m *Minogrpc) review(addr *session.Address) {
	for _, each := range m.guard.all(addr) {
		_ = m.contain(func() error {
			m.reviewOne(each)

			return nil
		})
	}
}

func (m *Minogrpc) reviewOne(c connected) {
	known, err := m.store.Load(c.addr)
	if err != nil {
		return // A store that cannot be read takes nobody away.
	}

	// A certificate that expires ends nothing that has begun.
	at := time.Now()
	if leaf := c.chain[0]; at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	}

	err = m.stillBelieves(c.addr, known, c.chain, at)

	// Whoever is not known may call such a node all the same.
	if c.conn != nil && m.open && len(known) == 0 && errors.Is(err, errUnknown) {
		err = nil
	}

	// With authorities the store says whom this node dials.
	if c.conn == nil && len(known) == 0 {
		err = errors.Join(err, errUnknown)
	}

	if err == nil {
		return
	}

	m.logger.Info().Err(err).Stringer("peer", c.addr).Msg("connection ended: the node is not believed any more")

	if c.conn != nil {
		_ = c.conn.Close() // It is closed either way.

		return
	}

	m.guard.hangUp(c.addr)
	m.conns.Evict(c.addr)
}

// hangUp forgets a node that was dialled.
func (g *guard) hangUp(addr session.Address) {
	g.mu.Lock()
	defer g.mu.Unlock()

	delete(g.servers, addr)
}

// unchanged tells whether the store still has that chain for the address. A node looks once more
// after it has noted a proof: a change before the note was told to nobody.
func (m *Minogrpc) unchanged(addr session.Address, known certs.CertChain) bool {
	now, err := m.store.Load(addr)

	return err == nil && bytes.Equal(now, known)
}
