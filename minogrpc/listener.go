package minogrpc

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/minogrpc/internal/gate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// acceptTimeout is how long a client may take for the handshakes of a new
// connection.
const acceptTimeout = 10 * time.Second

// How many connections there may be before their peers are believed.
const (
	// allArrivals is how many are not set up yet. Most of them have sent nothing.
	allArrivals = 1024

	// allHandshakes is how many shake hands in TLS at once. The others wait for them, and each may
	// take handshakeGrace if others wait.
	allHandshakes  = 256
	handshakeGrace = time.Second

	// hostStrangers is how many connections of unknown nodes one remote host may have, and
	// allStrangers all the hosts together. Each may stay for strangerGrace if others wait.
	hostStrangers = 32
	allStrangers  = 256
	strangerGrace = time.Second

	// fullHosts is how many times the connections of one host those of all the hosts may be.
	fullHosts = 4
)

// listener counts the connections of each host, and knows which of them are in
// their handshake. A server that stops waits for these: so the end of the listener
// is their end.
type listener struct {
	net.Listener

	limits limits
	tally  *tally
	budget *session.MemoryBudget

	// secure is true where a peer can prove who it is.
	secure bool

	// arrivals is for the connections that are not set up yet, handshakes for those that shake hands
	// in TLS, and strangers for those whose key nobody knows.
	arrivals, handshakes, strangers *gate.Room

	// rates tell which hosts may try a handshake. Without them all may.
	rates *rates
	// refused is told of the connections that are closed for a limit. It may be nil.
	refused func(from net.Addr, cause error)
	// accepted is told of the connections that are not. It may be nil.
	accepted func(from net.Addr)
	// ended is told of the connections that are closed. It may be nil.
	ended func(*accepted)

	mu     sync.Mutex
	closed bool
	// fresh are the connections that are in their handshake.
	fresh map[*accepted]struct{}
}

func newListener(inner net.Listener, l limits, t *tally) *listener {
	return &listener{
		Listener:   inner,
		limits:     l,
		tally:      t,
		arrivals:   gate.NewRoom(math.MaxInt, allArrivals, 0),
		handshakes: gate.NewRoom(allHandshakes, allHandshakes, handshakeGrace),
		strangers:  gate.NewRoom(hostStrangers, allStrangers, strangerGrace),
		fresh:      make(map[*accepted]struct{}),
	}
}

// Accept implements net.Listener. A panic of the inner listener is an error, since nobody
// else recovers the goroutine that calls it. The connections that pass a limit are closed, before
// a handshake costs anything.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := contain.Call(l.Listener.Accept)
		if err != nil {
			l.notAccepted(err)

			// The server waits and tries again where that makes sense, as without descriptors.
			return nil, err
		}

		c, err := l.admit(conn)
		if err == nil {
			if l.accepted != nil {
				l.accepted(conn.RemoteAddr())
			}

			return c, nil
		}

		// The peer gets no reason: it would have to be in the middle of a handshake.
		_ = conn.Close()

		if !errors.Is(err, net.ErrClosed) {
			l.refuse(conn, err)
		}
	}
}

// notAccepted tells the operator that no connection could be accepted. The peer stays in the queue of
// the kernel, and so nobody else notices.
func (l *listener) notAccepted(cause error) {
	if l.refused == nil || errors.Is(cause, net.ErrClosed) {
		return
	}

	if errors.Is(cause, syscall.EMFILE) || errors.Is(cause, syscall.ENFILE) {
		cause = fmt.Errorf("%w: raise the limit of open files, or lower WithStreamLimits", cause)
	}

	l.refused(nil, status.Errorf(codes.ResourceExhausted, "accept a connection: %v", cause))
}

// refuse tells the operator that a connection has passed a limit.
func (l *listener) refuse(conn net.Conn, cause error) {
	if l.refused != nil {
		l.refused(conn.RemoteAddr(), cause)
	}
}

// admit returns the connection as the server sees it, or the limit that it passes.
func (l *listener) admit(conn net.Conn) (*accepted, error) {
	host := hostOf(conn.RemoteAddr())
	c := newAccepted(conn, l, host)

	err := cmp.Or(
		l.rates.admits(host),
		c.visit.claim(claim{kind: connections}, 1, l.limits.hostStreams),
		c.visit.claim(claim{kind: allConnections}, 1, times(l.limits.hostStreams, fullHosts)),
		c.visit.claim(claim{kind: setUps}, 1, l.limits.pending),
		l.keep(c),
	)
	if err == nil {
		// It does not wait: another connection has to go.
		err = c.enter(l.arrivals)
	}

	if err != nil {
		_ = c.Close()

		return nil, err
	}

	return c, nil
}

// keep notes that a connection is in its handshake.
func (l *listener) keep(c *accepted) error {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.closed {
		return net.ErrClosed
	}

	l.fresh[c] = struct{}{}

	return nil
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
