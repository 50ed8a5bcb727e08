package minogrpc

import (
	"cmp"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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

	// rates tell which hosts may try a handshake. Without them all may.
	rates *rates
	// refused is told of the connections that are closed for a limit. It may be nil.
	refused func(from net.Addr, cause error)

	mu     sync.Mutex
	closed bool
	// fresh are the connections that are in their handshake.
	fresh map[*accepted]struct{}
}

func newListener(inner net.Listener, l limits, t *tally) *listener {
	return &listener{Listener: inner, limits: l, tally: t, fresh: make(map[*accepted]struct{})}
}

// Accept implements net.Listener. The connections that pass a limit are closed, before
// a handshake costs anything.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}

		c, err := l.admit(conn)
		if err == nil {
			return c, nil
		}

		// The peer gets no reason: it would have to be in the middle of a handshake.
		_ = conn.Close()

		if !errors.Is(err, net.ErrClosed) {
			l.refuse(conn, err)
		}
	}
}

// refuse tells who wants to know that a limit has been passed.
func (l *listener) refuse(conn net.Conn, cause error) {
	if l.refused != nil {
		l.refused(conn.RemoteAddr(), cause)
	}
}

// admit returns the connection as the server sees it, or the limit that it passes.
func (l *listener) admit(conn net.Conn) (*accepted, error) {
	host := hostOf(conn.RemoteAddr())
	c := &accepted{Conn: conn, listener: l, visit: l.tally.visit(host)}

	err := cmp.Or(
		l.rates.admits(host),
		c.visit.claim(claim{kind: connections}, 1, l.limits.hostStreams),
		c.visit.claim(claim{kind: setUps}, 1, l.limits.pending),
	)

	l.mu.Lock()
	defer l.mu.Unlock()

	if l.closed {
		err = net.ErrClosed
	}

	if err != nil {
		c.visit.end()

		return nil, err
	}

	l.fresh[c] = struct{}{}

	return c, nil
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

	// confined is true for the connection of somebody who may not bring more than
	// what is left, in bytes.
	confined atomic.Bool
	left     atomic.Int64
}

// confine bounds what the peer may send from now on, in bytes; past it the connection
// fails. gRPC reads the request of a call to its end before anybody can ask who the
// caller is, so that a stranger could fill the memory with requests that are refused
// in the end.
func (c *accepted) confine(bytes int64) {
	c.left.Store(bytes)
	c.confined.Store(true)
}

// free is the end of confine.
func (c *accepted) free() {
	c.confined.Store(false)
}

// Read implements net.Conn.
func (c *accepted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)

	if c.confined.Load() && c.left.Add(-int64(n)) < 0 {
		err = status.Error(codes.ResourceExhausted, "a stranger has sent too much")
		c.listener.refuse(c, err)

		return 0, err
	}

	return n, err
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
