package trust

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
)

// reviewPeriod is how often a node looks at all its connections, if the store does not tell of changes.
const reviewPeriod = 5 * time.Second

// Guard checks the other ends of connections. It knows those that have proved who they are, and ends the
// connections with a node that is not believed any more. Their streams end with them: both ends then
// try to go on over a new connection, which this node refuses.
type Guard struct {
	peers *Peers
	// own is nil for a node without TLS.
	own *Own
	// open nodes serve callers that prove nothing.
	open bool
	// evict gives up the connection that this node has dialled to an address.
	evict func(session.Address)

	mu sync.Mutex
	// callers are the addresses that the other end of a connection has proved to be, with the
	// certificates of that connection.
	callers map[Conn]*callerProof
	// servers are the certificates of the nodes that this one has dialled.
	servers map[session.Address][]*x509.Certificate
}

// callerProof is what the caller of one connection has proved.
type callerProof struct {
	chain []*x509.Certificate
	addrs map[session.Address]struct{}
}

// NewGuard returns the guard of a node. own is nil for a node without TLS. An open node serves callers
// that prove nothing. evict gives up the connection that the node has dialled to an address.
func NewGuard(peers *Peers, own *Own, open bool, evict func(session.Address)) *Guard {
	return &Guard{
		peers: peers, own: own, open: open, evict: evict,
		callers: make(map[Conn]*callerProof), servers: make(map[session.Address][]*x509.Certificate),
	}
}

// Strict tells whether every caller must prove who it is.
func (g *Guard) Strict() bool {
	return g.own != nil && !g.open
}

// watch notes that the caller of a connection has proved an address.
func (g *Guard) watch(conn Conn, addr session.Address, chain []*x509.Certificate) {
	g.mu.Lock()
	defer g.mu.Unlock()

	// The connection may have ended meanwhile, and nothing would forget it again.
	if conn.Closed() {
		return
	}

	proof := g.callers[conn]
	if proof == nil {
		proof = &callerProof{chain: chain, addrs: make(map[session.Address]struct{})}
		g.callers[conn] = proof
	}

	proof.addrs[addr] = struct{}{}
}

// Forget notes that a connection has ended.
func (g *Guard) Forget(conn Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()

	delete(g.callers, conn)
}

// dialled notes the certificates by which the node at the address has proved itself.
func (g *Guard) dialled(addr session.Address, chain []*x509.Certificate) {
	g.mu.Lock()
	defer g.mu.Unlock()

	g.servers[addr] = chain
}

// connected is one end of a connection that was proved.
type connected struct {
	addr  session.Address
	chain []*x509.Certificate
	// conn is nil for a connection that this node has dialled.
	conn Conn
}

// all returns the connections with the node at the address, or with all of them for nil.
func (g *Guard) all(addr *session.Address) (found []connected) {
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

// Follow reviews the connections with a node when the store tells that its certificate has changed,
// until the context is done. It returns false if the store cannot tell of all that matters: then
// [Guard.KeepReviewing] is needed, too.
func (g *Guard) Follow(ctx context.Context) bool {
	watchable, ok := g.peers.Store.(certs.Watchable)
	if ok {
		stop := watchable.Watch(func(addr mino.Address) {
			if peer, err := host.PeerOf(addr); err == nil {
				g.review(&peer)
			}
		})
		context.AfterFunc(ctx, stop)
	}

	return ok && g.peers.Policy.Revoked == nil
}

// KeepReviewing reviews all connections every few seconds. It returns when the context is done.
func (g *Guard) KeepReviewing(ctx context.Context) {
	for sleep(ctx, reviewPeriod) {
		g.review(nil)
	}
}

// review looks again at the connections with the node at the address, or at all for nil. It ends those
// that this node would not let in now.
func (g *Guard) review(addr *session.Address) {
	for _, each := range g.all(addr) {
		_ = g.peers.contain(func() error {
			g.reviewOne(each)

			return nil
		})
	}
}

func (g *Guard) reviewOne(c connected) {
	known, err := g.peers.Store.Load(c.addr)
	if err != nil {
		return // A store that cannot be read ends no connection.
	}

	// A certificate that expires does not end a connection that has begun.
	at := time.Now()
	if leaf := c.chain[0]; at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	}

	err = g.peers.stillBelieves(c.addr, known, c.chain, at)

	// A node that is not known may call an open node all the same.
	if c.conn != nil && g.open && len(known) == 0 && errors.Is(err, errUnknown) {
		err = nil
	}

	// With authorities the store still says which nodes this one dials.
	if c.conn == nil && len(known) == 0 {
		err = errors.Join(err, errUnknown)
	}

	if err == nil {
		return
	}

	g.peers.Logger.Info().Err(err).Stringer("peer", c.addr).Msg("connection ended: the node is not believed any more")

	if c.conn != nil {
		_ = c.conn.Close() // It is closed either way.

		return
	}

	g.hangUp(c.addr)
	g.evict(c.addr)
}

// hangUp forgets a node that was dialled.
func (g *Guard) hangUp(addr session.Address) {
	g.mu.Lock()
	defer g.mu.Unlock()

	delete(g.servers, addr)
}

// unchanged tells whether the store still has that chain for the address. The guard looks once more after
// it has noted a proof: it has missed a change that came before the note.
func (g *Guard) unchanged(addr session.Address, known certs.CertChain) bool {
	now, err := g.peers.Store.Load(addr)

	return err == nil && bytes.Equal(now, known)
}

// CheckServer returns an error unless the server at the address has presented the certificates of the
// node there. It remembers them, to end the connection when they are not believed any more.
func (g *Guard) CheckServer(addr session.Address, presented []*x509.Certificate) error {
	chain, err := g.peers.Store.Load(addr)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}

	if err = g.peers.believes(addr, chain, presented); err != nil {
		return err
	}

	// An authority vouches for the whole address, and need not name the host once more.
	if !g.peers.Policy.ByAuthority {
		err = checkHost(addr, presented[0])
	}

	if err != nil {
		return err
	}

	g.dialled(addr, presented)

	if !g.unchanged(addr, chain) {
		return g.CheckServer(addr, presented)
	}

	g.peers.hearsay.proved(addr)

	return nil
}
