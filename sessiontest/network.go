package sessiontest

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"
)

// Network is a network in memory. A node has an address, a text such as "n1:1" that the network only
// compares. The network has ordinary listeners and connections: a real gRPC server or client, with or
// without TLS, does not see the difference. A test can cut, freeze and delay the connections between two
// nodes, and limit their bandwidth ([Network.Cut], [Network.Freeze], [Network.Delay],
// [Network.Bandwidth]).
//
// A network works both inside and outside of a testing/synctest bubble. Inside it uses the clock of the
// bubble, and a goroutine that waits on the network is durably blocked. Make the network, its listeners,
// servers and clients in the same bubble, and also the certificates, whose validity is compared with
// the clock of the bubble. Before the bubble ends, stop the servers, wait until Serve has returned, and
// close the clients.
//
// The network starts no goroutines; delays and deadlines are timers. All methods may be called from
// several goroutines at once.
type Network struct {
	mu        sync.Mutex
	closed    bool
	listeners map[string]*listener
	faults    map[direction]fault
	refusing  map[string]bool

	// dead are the nodes of a cluster that were killed.
	dead map[string]bool

	// connections are those with at least one end open, so that a fault reaches
	// them.
	connections map[*connection]struct{}

	// changed is closed, and replaced, when a dial that hangs should look again.
	changed chan struct{}
}

// direction is the way from one node to another. The connections between them
// have a pipe in each of the two directions, whoever dialled.
type direction struct {
	from, to string
}

func (d direction) reverse() direction {
	return direction{from: d.to, to: d.from}
}

// NewNetwork returns a network without nodes and without faults.
func NewNetwork() *Network {
	return &Network{
		listeners:   make(map[string]*listener),
		faults:      make(map[direction]fault),
		refusing:    make(map[string]bool),
		dead:        make(map[string]bool),
		connections: make(map[*connection]struct{}),
		changed:     make(chan struct{}),
	}
}

// Listen makes the node of that address reachable until the listener is closed. Like a kernel, the
// network accepts connections even if nobody calls Accept, and keeps what they send up to the size of
// their buffers. The error wraps [syscall.EADDRINUSE] if the address has a listener already, and
// [net.ErrClosed] after Close.
func (n *Network) Listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()

	switch {
	case n.closed:
		return nil, listenError(addr, net.ErrClosed)
	case n.listeners[addr] != nil:
		return nil, listenError(addr, syscall.EADDRINUSE)
	}

	l := newListener(n, addr)
	n.listeners[addr] = l

	return l, nil
}

// Dialer returns the function with which the node at an address dials the others. Pass it to
// [google.golang.org/grpc.WithContextDialer]. The target of such a client must be "passthrough:///" and
// the address: the default resolver of gRPC would look for the address outside of the network.
//
// A dial takes one round trip. It hangs while either direction between the two nodes is frozen, at most
// until its context ends. Its error wraps [syscall.ECONNREFUSED] if nobody listens, if the two nodes are
// cut off from each other, or if the target refuses dials. It wraps [net.ErrClosed] after Close, and the
// error of the context when that ends.
func (n *Network) Dialer(from string) func(ctx context.Context, target string) (net.Conn, error) {
	return func(ctx context.Context, target string) (net.Conn, error) {
		way := direction{from: from, to: target}

		conn, err := n.dial(ctx, way)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: networkName, Source: addr(from), Addr: addr(target), Err: err}
		}

		return conn, nil
	}
}

// Connections returns the number of connections that no fault has broken and that have at least one open
// end. After a test it should be zero.
func (n *Network) Connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()

	return len(n.connections)
}

// Close closes the listeners and breaks the connections and the dials. After it nobody can listen or dial.
// It may be called more than once.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()

	n.closed = true
	for _, l := range n.listeners {
		l.closeLocked()
	}

	n.resetLocked(func(*connection) bool { return true })
	n.changedLocked()
}

func (n *Network) dial(ctx context.Context, way direction) (net.Conn, error) {
	if err := n.awaitRoundTrip(ctx, way); err != nil {
		return nil, err
	}

	for {
		conn, changed, err := n.connect(way)
		if changed == nil {
			return conn, err
		}

		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// awaitRoundTrip waits for the delays of both directions.
func (n *Network) awaitRoundTrip(ctx context.Context, way direction) error {
	n.mu.Lock()
	delay := n.faults[way].delay + n.faults[way.reverse()].delay
	n.mu.Unlock()

	if delay == 0 {
		return ctx.Err()
	}

	timer := time.NewTimer(delay)
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// connect hands a new connection to the listener at the end of the way. The
// channel is nil, except when the dial has to be tried again after it is closed.
func (n *Network) connect(way direction) (net.Conn, <-chan struct{}, error) {
	n.mu.Lock()
	defer n.mu.Unlock()

	forth, back := n.faults[way], n.faults[way.reverse()]
	switch {
	case n.closed:
		return nil, nil, net.ErrClosed
	case forth.cut, n.dead[way.from]:
		return nil, nil, syscall.ECONNREFUSED
	case forth.frozen, back.frozen:
		return nil, n.changed, nil
	}

	l := n.listeners[way.to]
	if l == nil || n.refusing[way.to] || n.dead[way.to] {
		return nil, nil, syscall.ECONNREFUSED
	}

	c := newConnection(n, way, forth, back)
	n.connections[c] = struct{}{}
	l.offerLocked(c.accepted)

	return c.dialled, nil, nil
}

// forget drops a connection that both ends have closed.
func (n *Network) forget(c *connection) {
	n.mu.Lock()
	defer n.mu.Unlock()

	delete(n.connections, c)
}

// changedLocked lets the dials that hang look again.
func (n *Network) changedLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

func listenError(address string, err error) error {
	return &net.OpError{Op: "listen", Net: networkName, Addr: addr(address), Err: err}
}
