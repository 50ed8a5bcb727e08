package existing

import (
	"crypto/tls"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// connections are those to other nodes, shared by all who use them. One closes with its last
// user.
type connections struct {
	store *Store
	dial  dialer

	mu   sync.Mutex
	open map[Address]*connection
}

// connection counts its users.
type connection struct {
	*grpc.ClientConn

	users int
}

func newConnections(store *Store, dial dialer) *connections {
	return &connections{store: store, dial: dial, open: make(map[Address]*connection)}
}

// acquire returns the connection to a node until release. It does not wait for the network.
func (c *connections) acquire(addr Address) (*grpc.ClientConn, error) {
	addr = addr.Follower()

	c.mu.Lock()
	defer c.mu.Unlock()

	conn := c.open[addr]
	if conn == nil {
		made, err := c.make(addr)
		if err != nil {
			return nil, err
		}

		conn = &connection{ClientConn: made}
		c.open[addr] = conn
	}

	conn.users++

	return conn.ClientConn, nil
}

func (c *connections) make(addr Address) (*grpc.ClientConn, error) {
	creds, err := c.credentials(addr)
	if err != nil {
		return nil, err
	}

	// The dialer of the node resolves the name.
	return grpc.NewClient("passthrough:///"+addr.Host(),
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(c.dial),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec{}), grpc.MaxCallRecvMsgSize(maxMessage)),
	)
}

// credentials let the node at the address prove that it has the certificate in the store.
// This node proves nothing in return.
func (c *connections) credentials(addr Address) (credentials.TransportCredentials, error) {
	switch addr.kind() {
	case plainKind:
		return insecure.NewCredentials(), nil
	case tlsKind:
		pool, err := c.store.pool(addr)
		if err != nil {
			return nil, err
		}

		return credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}), nil
	default:
		return nil, fmt.Errorf("no way to connect to %v", addr)
	}
}

func (c *connections) release(addr Address) {
	addr = addr.Follower()

	c.mu.Lock()
	defer c.mu.Unlock()

	conn := c.open[addr]
	if conn == nil {
		return // the node has been stopped
	}

	conn.users--

	if conn.users == 0 {
		delete(c.open, addr)
		_ = conn.Close()
	}
}

// close ends them all, whoever uses them.
func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()

	for addr, conn := range c.open {
		delete(c.open, addr)
		_ = conn.Close()
	}
}

func (c *connections) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()

	return len(c.open)
}
