package session

import (
	"fmt"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
)

// ConnectionManager gives a session the connections to its neighbours. All
// methods may be called from several goroutines at once.
type ConnectionManager interface {
	// Len returns the number of connections that are open.
	Len() int

	// Acquire returns the connection to an address. It must not wait for the network. The caller
	// pairs each Acquire that returned no error with one Release.
	Acquire(mino.Address) (grpc.ClientConnInterface, error)

	// Release gives a connection back.
	Release(mino.Address)
}

// ConnectionEvictor is an optional interface of a [ConnectionManager]. With it a session can give
// up a connection that looks alive and is not.
type ConnectionEvictor interface {
	// Evict closes the connection to an address at once, so that the calls that hang on it end. The
	// next Acquire dials anew. The caller still pairs each Acquire of the closed connection with
	// one Release. Others may have acquired the connection too, and may not know of the eviction:
	// calls that they begin later should take a new connection, and their streams end. Evict does
	// nothing when there is no connection to the address.
	Evict(mino.Address)
}

// ConnectionReplacer is an optional interface of a [ConnectionManager]. With it a session gives up
// only the connection that it means. Several streams over one connection break together, and the
// first of them may have another connection before the last one gives up the old one.
type ConnectionReplacer interface {
	// Replace is Evict for one connection, which Acquire has returned. It does nothing if the
	// manager already has another connection to the address.
	Replace(to mino.Address, conn grpc.ClientConnInterface)
}

// ConnManager is a [ConnectionManager] for gRPC. All callers that acquire the same address, as
// orchestrator or as follower, share one connection. The manager closes that connection after the
// last Release, at once or after the idle time. A ConnManager may be used from several goroutines
// at once. Its owner must close it.
type ConnManager struct {
	credentials func(mino.Address) (credentials.TransportCredentials, error)
	dialOptions []grpc.DialOption
	idle        time.Duration

	// mu is never held while credentials are made, a connection is made or closed.
	mu     sync.Mutex
	closed bool
	open   int

	// peers are the addresses with a connection in use or idle, or with a dial that goes on. The
	// key is the follower form.
	peers map[Address]*peerConn
}

// peerConn is what is known about one address. The lock of the manager guards it.
type peerConn struct {
	// refs counts each Acquire without its Release, whichever connection it got: a Release does
	// not say which. So a connection that replaced an evicted one may be kept a bit too long, but
	// is never closed while it is in use.
	refs int

	// current is nil before the first dial, and after one that failed or an eviction.
	current *dial

	// idle runs while refs is zero. Each Acquire starts another round. A timer that fired before
	// Acquire could stop it finds another round, and does nothing.
	idle  *time.Timer
	round int
}

// dial is one attempt to make a connection. All callers that ask for it meanwhile share it.
type dial struct {
	// done is closed when the two others are set, which then stay as they are.
	done chan struct{}
	conn *sharedConn
	err  error

	// way makes the connection take another transport: see Renew. It is set before done is
	// closed.
	way *way
}

// NewConnManager returns a manager without connections.
func NewConnManager(opts ...ConnOption) *ConnManager {
	m := &ConnManager{
		credentials: defaultCredentials,
		peers:       make(map[Address]*peerConn),
	}

	for _, opt := range opts {
		opt.applyConn(m)
	}

	return m
}

// Len implements [ConnectionManager]. It also counts idle connections.
func (m *ConnManager) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.open
}

// Acquire implements [ConnectionManager]. The address must have a GetDialAddress method, as
// [Address] does. gRPC first uses the network at the first call on the connection. Acquire returns
// an error when there are no credentials for the address, and one that wraps [ErrClosed] after
// Close.
func (m *ConnManager) Acquire(addr mino.Address) (grpc.ClientConnInterface, error) {
	target, err := newDialTarget(addr)
	if err != nil {
		return nil, err
	}

	d, first, stale, err := m.join(target.key)
	if err != nil {
		return nil, err
	}

	closeConn(stale)

	if first {
		d.way = newWay(target.host)
		conn, err := contain.Call(func() (*sharedConn, error) { return m.connect(target, d.way) })
		m.finish(target.key, d, conn, err)
	}

	<-d.done

	if d.err != nil {
		m.Release(target.key)

		return nil, fmt.Errorf("failed to connect to %v: %w", target.key, d.err)
	}

	return d.conn, nil
}

// Release implements [ConnectionManager]. It does nothing for an address that has
// not been acquired.
func (m *ConnManager) Release(addr mino.Address) {
	closeConn(m.leave(followerOf(addr)))
}

// Evict implements [ConnectionEvictor].
func (m *ConnManager) Evict(addr mino.Address) {
	closeConn(m.drop(followerOf(addr)))
}

// Replace implements [ConnectionReplacer].
func (m *ConnManager) Replace(addr mino.Address, conn grpc.ClientConnInterface) {
	closeConn(m.dropOnly(followerOf(addr), conn))
}

// Renew makes the calls and streams that begin from now on take a new handshake, with the
// credentials of that time. Calls and streams that are in progress stay on their connection until
// they end. An overlay calls Renew when its certificate has changed.
func (m *ConnManager) Renew() {
	m.mu.Lock()

	ways := make([]*way, 0, len(m.peers))

	for _, peer := range m.peers {
		// A dial that goes on has used no credentials yet.
		if peer.current != nil && peer.current.conn != nil {
			ways = append(ways, peer.current.way)
		}
	}

	m.mu.Unlock()

	for _, w := range ways {
		w.renew()
	}
}

// Close closes all the connections, also those in use, and makes Acquire fail. It may be called
// more than once. The error is always nil.
func (m *ConnManager) Close() error {
	for _, conn := range m.dropAll() {
		closeConn(conn)
	}

	return nil
}

// join counts a reference and returns the dial to wait for. The first caller to join must dial and
// call finish. A failed connection that nobody uses is stale: the next caller gets a new one, and
// does not wait until the old one tries again.
func (m *ConnManager) join(key Address) (d *dial, first bool, stale *sharedConn, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if m.closed {
		return nil, false, nil, fmt.Errorf("connection manager: %w", ErrClosed)
	}

	peer := m.peers[key]
	if peer != nil && peer.refs == 0 && peer.failed() {
		stale = m.dropLocked(key, peer)
		peer = nil
	}

	if peer == nil {
		peer = new(peerConn)
		m.peers[key] = peer
	}

	peer.refs++
	peer.round++
	peer.stopIdle()

	if peer.current != nil {
		return peer.current, false, stale, nil
	}

	peer.current = &dial{done: make(chan struct{})}

	return peer.current, true, stale, nil
}

// finish gives a dial its result, for all callers that wait.
func (m *ConnManager) finish(key Address, d *dial, conn *sharedConn, err error) {
	m.mu.Lock()

	switch {
	case m.closed:
		defer closeConn(conn)

		conn, err = nil, ErrClosed
	case err != nil:
		// The next Acquire tries again, and does not wait for the Release of these callers.
		m.peers[key].current = nil
	default:
		m.open++
	}

	d.conn, d.err = conn, err
	m.mu.Unlock()
	close(d.done)
}

// leave removes a reference, and returns the connection if it is to be closed.
func (m *ConnManager) leave(key Address) *sharedConn {
	m.mu.Lock()
	defer m.mu.Unlock()

	peer := m.peers[key]
	if peer == nil || peer.refs == 0 {
		return nil
	}

	peer.refs--

	switch {
	case peer.refs > 0:
		return nil
	case m.idle <= 0 || peer.current == nil || peer.failed():
		// gRPC would dial a failed connection again and again, for nobody.
		return m.dropLocked(key, peer)
	default:
		round := peer.round
		peer.idle = time.AfterFunc(m.idle, func() { m.expire(key, peer, round) })

		return nil
	}
}

// expire ends the idle time of a round.
func (m *ConnManager) expire(key Address, peer *peerConn, round int) {
	m.mu.Lock()

	var conn *sharedConn
	if m.peers[key] == peer && peer.refs == 0 && peer.round == round {
		conn = m.dropLocked(key, peer)
	}

	m.mu.Unlock()
	closeConn(conn)
}

// drop removes the connection to an address, and returns it as one that has been evicted.
func (m *ConnManager) drop(key Address) *sharedConn {
	m.mu.Lock()
	defer m.mu.Unlock()

	peer := m.peers[key]
	if peer == nil {
		return nil
	}

	return m.dropLocked(key, peer).evict()
}

// dropOnly is drop for one connection.
func (m *ConnManager) dropOnly(key Address, conn grpc.ClientConnInterface) *sharedConn {
	m.mu.Lock()
	defer m.mu.Unlock()

	peer := m.peers[key]
	if peer == nil || peer.current == nil || peer.current.conn == nil || peer.current.conn != conn {
		return nil
	}

	return m.dropLocked(key, peer).evict()
}

// dropAll closes the manager and returns the connections. A dial that still goes on finds the
// manager closed.
func (m *ConnManager) dropAll() []*sharedConn {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.closed = true
	conns := make([]*sharedConn, 0, len(m.peers))

	for key, peer := range m.peers {
		peer.refs = 0
		conns = append(conns, m.dropLocked(key, peer))
	}

	return conns
}

// dropLocked removes the connection of a peer, and the peer itself when it has no references. It
// returns the connection, or nil when there is none yet.
func (m *ConnManager) dropLocked(key Address, peer *peerConn) *sharedConn {
	var conn *sharedConn

	if peer.current != nil && peer.current.conn != nil {
		conn = peer.current.conn
		peer.current = nil
		m.open--
	}

	if peer.refs == 0 {
		peer.stopIdle()
		delete(m.peers, key)
	}

	return conn
}

// failed tells whether the last attempt of the connection to reach the peer has failed.
func (p *peerConn) failed() bool {
	return p.current != nil && p.current.conn != nil && p.current.conn.GetState() == connectivity.TransientFailure
}

// stopIdle stops the timer, if there is one.
func (p *peerConn) stopIdle() {
	if p.idle != nil {
		p.idle.Stop()
	}
}

// closeConn closes a connection, if there is one.
func closeConn(conn *sharedConn) {
	if conn != nil {
		// The only error is that it is closed already.
		_ = conn.Close()
	}
}
