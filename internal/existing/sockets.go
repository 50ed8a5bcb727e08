package existing

import (
	"context"
	"net"
	"sync"
)

// sockets are all the connections that a node has accepted or made, so that a kill can end
// them as the kernel ends those of a dead process.
type sockets struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	killed bool
}

// socket is one of them.
type socket struct {
	net.Conn

	all *sockets
}

func newSockets() *sockets {
	return &sockets{open: make(map[net.Conn]struct{})}
}

// add watches a connection until it is closed.
func (s *sockets) add(conn net.Conn) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.killed {
		_ = conn.Close()
	} else {
		s.open[conn] = struct{}{}
	}

	return &socket{Conn: conn, all: s}
}

// kill closes the connections under the feet of gRPC, which says goodbye on none of them.
func (s *sockets) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.killed = true

	for conn := range s.open {
		_ = conn.Close()
	}
}

// Close implements net.Conn.
func (s *socket) Close() error {
	s.all.mu.Lock()
	delete(s.all.open, s.Conn)
	s.all.mu.Unlock()

	return s.Conn.Close()
}

// listener watches what it accepts.
type listener struct {
	net.Listener

	all *sockets
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}

	return l.all.add(conn), nil
}

// dialer is how a node connects to a host and port.
type dialer func(ctx context.Context, host string) (net.Conn, error)

// watched returns a dialer whose connections are watched.
func (s *sockets) watched(dial dialer) dialer {
	return func(ctx context.Context, host string) (net.Conn, error) {
		conn, err := dial(ctx, host)
		if err != nil {
			return nil, err
		}

		return s.add(conn), nil
	}
}

func dialTCP(ctx context.Context, host string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", host)
}
