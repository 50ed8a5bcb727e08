package sessiontest

import (
	"net"
	"sync"
)

// networkName is the network of the addresses of a [Network].
const networkName = "memory"

// addr is the address of a node.
type addr string

// Network implements [net.Addr].
func (a addr) Network() string { return networkName }

// String implements [net.Addr].
func (a addr) String() string { return string(a) }

// listener accepts the connections of a node. The lock of the network guards its fields.
type listener struct {
	network *Network
	address addr
	closed  bool

	// backlog has the dialled connections that nobody has accepted yet.
	backlog []*conn

	// ready is signalled when backlog grows and when the listener is closed.
	ready sync.Cond
}

func newListener(n *Network, address string) *listener {
	return &listener{network: n, address: addr(address), ready: sync.Cond{L: &n.mu}}
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()

	for len(l.backlog) == 0 {
		if l.closed {
			return nil, &net.OpError{Op: "accept", Net: networkName, Addr: l.address, Err: net.ErrClosed}
		}

		l.ready.Wait()
	}

	conn := l.backlog[0]
	l.backlog = l.backlog[1:]

	return conn, nil
}

// Close implements [net.Listener]. Like a kernel it resets the connections that nobody has accepted: their
// other ends would wait for ever.
func (l *listener) Close() error {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()

	if l.closed {
		return &net.OpError{Op: "close", Net: networkName, Addr: l.address, Err: net.ErrClosed}
	}

	l.closeLocked()

	return nil
}

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr {
	return l.address
}

func (l *listener) closeLocked() {
	for _, conn := range l.backlog {
		conn.reset()
		delete(l.network.connections, conn.connection)
	}

	delete(l.network.listeners, string(l.address))
	l.closed = true
	l.backlog = nil
	l.ready.Broadcast()
}

func (l *listener) offerLocked(c *conn) {
	l.backlog = append(l.backlog, c)
	l.ready.Signal()
}
