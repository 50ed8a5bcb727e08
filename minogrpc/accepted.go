package minogrpc

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/minogrpc/certs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// What a stranger may do over a connection: enough to join, several times.
const (
	// strangerBytes is what it may send, in bytes, TLS and the frames included, and what
	// its headers may take.
	strangerBytes = 16 * maxChain

	// strangerCalls is how many calls it may make.
	strangerCalls = 16

	// strangerPeriod is how long the connection lasts.
	strangerPeriod = joinTimeout + acceptTimeout
)

// errStranger is told to a stranger who does more than that.
var errStranger = status.Error(codes.ResourceExhausted, "a stranger has sent too much")

// accepted is a connection that somebody else has opened.
type accepted struct {
	net.Conn

	listener *listener
	visit    *visit

	// confined is true for the connection of somebody who may not bring more than
	// what is left, in bytes and in calls.
	confined atomic.Bool
	left     atomic.Int64
	calls    atomic.Int64
	// end is what ends the connection while that is so.
	end atomic.Pointer[time.Timer]

	// proved is what the peer has shown to be by its key the last time.
	proved atomic.Pointer[proved]

	// closed is set before the streams of the connection end because of it.
	closed atomic.Bool
}

// remote is the address of the peer of a connection. gRPC tells a call this address and
// nothing else of its connection, so the address leads to the connection.
type remote struct {
	net.Addr

	conn *accepted
}

// RemoteAddr implements net.Conn.
func (c *accepted) RemoteAddr() net.Addr {
	return remote{Addr: c.Conn.RemoteAddr(), conn: c}
}

// connectionOf returns the connection of a call. It returns nil when that does not come from
// the listener of the node.
func connectionOf(ctx context.Context) *accepted {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}

	addr, _ := from.Addr.(remote)

	return addr.conn
}

// ownAddr returns the address as the network has it, which users may want to look into.
func ownAddr(addr net.Addr) net.Addr {
	if r, ok := addr.(remote); ok {
		return r.Addr
	}

	return addr
}

// proved is an address with the chain in the store by which it was believed.
type proved struct {
	addr  session.Address
	chain certs.CertChain
}

// confine bounds what the peer may do from now on. gRPC takes in the headers and the
// request of a call before anybody can ask who the caller is, so that a stranger could
// fill the memory with calls that are refused in the end, or never come to that. The
// error has a status: there may be as many strangers from a host as set-ups.
func (c *accepted) confine() error {
	err := c.visit.claim(claim{kind: strangers}, 1, c.listener.limits.pending)
	if err != nil {
		return err
	}

	c.left.Store(strangerBytes)
	c.calls.Store(strangerCalls)
	c.confined.Store(true)
	c.end.Store(time.AfterFunc(strangerPeriod, func() { _ = c.Close() }))

	return nil
}

// free is the end of confine. It may be called at any time.
func (c *accepted) free() {
	if !c.confined.Swap(false) {
		return
	}

	if timer := c.end.Load(); timer != nil {
		timer.Stop()
	}

	c.visit.release(strangers)
}

// spend returns an error with a status when the peer may not make a call with headers of
// that many bytes any more.
func (c *accepted) spend(headers int) error {
	if c.confined.Load() && (c.left.Add(-int64(headers)) < 0 || c.calls.Add(-1) < 0) {
		return errStranger
	}

	return nil
}

// Read implements net.Conn.
func (c *accepted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)

	if c.confined.Load() && c.left.Add(-int64(n)) < 0 {
		c.listener.refuse(c, errStranger)

		return 0, errStranger
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
	c.closed.Store(true)
	c.listener.forget(c)
	c.free()
	c.listener.settled(c)
	c.visit.end()

	return c.Conn.Close()
}
