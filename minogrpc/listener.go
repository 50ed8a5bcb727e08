package minogrpc

import (
	"net"
	"sync"
	"time"
)

// acceptTimeout is how long a client may take for the handshakes of a new
// connection.
const acceptTimeout = 10 * time.Second

// listener counts the connections of each host, and knows which of them are in
// their handshake. A server that stops waits for these: so the end of the listener
// is their end.
type listener struct {
	net.Listener

	limits limits
	tally  *tally

	mu     sync.Mutex
	closed bool
	// fresh are the connections that are in their handshake.
	fresh map[*accepted]struct{}
}

func newListener(inner net.Listener, l limits, t *tally) *listener {
	return &listener{Listener: inner, limits: l, tally: t, fresh: make(map[*accepted]struct{})}
}

// Accept implements net.Listener. The connections that pass a limit are closed.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}

		if c := l.admit(conn); c != nil {
			return c, nil
		}

		// There is nobody to tell the error to.
		_ = conn.Close()
	}
}

// admit returns the connection as the server sees it, or nil when there is no room
// for it.
func (l *listener) admit(conn net.Conn) *accepted {
	c := &accepted{Conn: conn, listener: l, visit: l.tally.visit(hostOf(conn.RemoteAddr()))}

	err := c.visit.claim(claim{kind: connections}, 1, l.limits.hostStreams)
	if err == nil {
		err = c.visit.claim(claim{kind: setUps}, 1, l.limits.pending)
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	if err != nil || l.closed {
		c.visit.end()

		return nil
	}

	l.fresh[c] = struct{}{}

	return c
}

// Close implements net.Listener. It also closes the connections that are in their
// handshake.
func (l *listener) Close() error {
	err := l.Listener.Close()

	for _, c := range l.shut() {
		_ = c.Close()
	}

	return err
}

// shut lets nobody in any more, and returns those who have not quite come in.
func (l *listener) shut() []*accepted {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.closed = true

	fresh := make([]*accepted, 0, len(l.fresh))
	for c := range l.fresh {
		fresh = append(fresh, c)
	}

	return fresh
}

// settled notes that a connection is not in its handshake any more.
func (l *listener) settled(c *accepted) {
	l.mu.Lock()
	defer l.mu.Unlock()

	delete(l.fresh, c)
}

// accepted is a connection that somebody else has opened.
type accepted struct {
	net.Conn

	listener *listener
	visit    *visit
}

// SetDeadline implements net.Conn. The server sets a deadline for the handshake,
// and takes it off after it: nothing else tells when that is.
func (c *accepted) SetDeadline(t time.Time) error {
	if t.IsZero() {
		c.listener.settled(c)
		c.visit.release(setUps)
	}

	return c.Conn.SetDeadline(t)
}

// Close implements net.Conn.
func (c *accepted) Close() error {
	c.listener.settled(c)
	c.visit.end()

	return c.Conn.Close()
}
