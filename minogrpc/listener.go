package minogrpc

import (
	"cmp"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/contain"
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
	// ended is told of the connections that are closed. It may be nil.
	ended func(*accepted)

	mu     sync.Mutex
	closed bool
	// fresh are the connections that are in their handshake.
	fresh map[*accepted]struct{}
}

func newListener(inner net.Listener, l limits, t *tally) *listener {
	return &listener{Listener: inner, limits: l, tally: t, fresh: make(map[*accepted]struct{})}
}

// Accept implements net.Listener. A panic of the inner listener is an error, since nobody
// else recovers the goroutine that calls it. The connections that pass a limit are closed, before
// a handshake costs anything.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := contain.Call(l.Listener.Accept)
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

// forget tells who wants to know that a connection has ended.
func (l *listener) forget(c *accepted) {
	if l.ended != nil {
		l.ended(c)
	}
}

// Close implements net.Listener. It also closes the connections that are in their
// handshake. The server calls it under its lock, where a panic would leave that locked.
func (l *listener) Close() error {
	_, err := contain.Call(func() (struct{}, error) { return struct{}{}, l.Listener.Close() })

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
