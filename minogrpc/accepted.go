package minogrpc

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session/internal/deadline"
	"github.com/minogrpc/session/internal/watch"
	"github.com/minogrpc/session/minogrpc/internal/gate"
	"github.com/minogrpc/session/minogrpc/internal/trust"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// What a peer may do over a connection before its key is believed: enough to join, several times.
const (
	// handshakeBytes is what it may send for the TLS handshake, in bytes.
	handshakeBytes = 2 * trust.MaxChain

	// strangerBytes is what it may send in all, in bytes, TLS and the frames included. Decoded
	// headers count once more.
	strangerBytes = 4 * trust.MaxChain

	// strangerCalls is how many calls it may make.
	strangerCalls = 16

	// strangerPeriod is how long the connection lasts.
	strangerPeriod = joinTimeout + acceptTimeout
)

var (
	// errStranger is the answer to a stranger that does more than that.
	errStranger = status.Error(codes.ResourceExhausted, "a stranger has sent too much")

	// errNoRoom is for a connection that has to make room for another one.
	errNoRoom = status.Error(codes.ResourceExhausted, "too many connections of unknown nodes")

	errHeaderMemory = status.Error(codes.ResourceExhausted, "headers do not fit into the memory budget of the node")
)

// accepted is a connection that another node has opened.
type accepted struct {
	net.Conn

	listener *listener
	visit    *visit

	// heard is true once the peer has sent a byte.
	heard atomic.Bool

	// celled is true while the peer is in its cell: it may bring only the bytes in left and, after its
	// handshake, make only the calls in calls.
	celled atomic.Bool
	left   atomic.Int64
	calls  atomic.Int64

	// known tells whether the peer has become known meanwhile. confine sets it.
	known func() bool

	// meter counts what the peer sends.
	meter *watch.Meter

	// evicted is true once the connection has had to make room for another one.
	evicted atomic.Bool

	// broken is the first error of Read.
	broken atomic.Pointer[error]

	// closed is set when the connection is closed, before its streams end. gone is closed then.
	closed atomic.Bool
	gone   chan struct{}
	once   sync.Once

	mu sync.Mutex
	// places has the places of the connection in the rooms of the listener.
	places map[*gate.Room]*gate.Guest
	// late ends the handshakes that take too long, if they go on.
	late *deadline.Deadline
	// end closes the connection of a stranger.
	end *time.Timer
	// headers is what headers are charged for that are being decoded. messages is what messages are
	// charged for that have come in part. Both are in bytes.
	headers, messages int
}

func newAccepted(conn net.Conn, l *listener, host string) *accepted {
	c := &accepted{
		Conn:     conn,
		listener: l,
		visit:    l.tally.visit(host),
		meter:    watch.NewMeter(),
		gone:     make(chan struct{}),
		places:   make(map[*gate.Room]*gate.Guest),
	}

	// Without TLS there is nothing that the peer could prove.
	if l.secure {
		c.left.Store(handshakeBytes)
		c.celled.Store(true)
	}

	return c
}

// remote is the address of the peer of a connection. It leads to the connection, because gRPC tells a call
// nothing else about that.
type remote struct {
	net.Addr

	conn *accepted
}

// RemoteAddr implements net.Conn.
func (c *accepted) RemoteAddr() net.Addr {
	return remote{Addr: c.Conn.RemoteAddr(), conn: c}
}

// connectionOf returns the connection of a call, or nil if that does not come from the listener of the
// node.
func connectionOf(ctx context.Context) *accepted {
	from, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}

	addr, _ := from.Addr.(remote)

	return addr.conn
}

// ownAddr returns the address of the network, for users.
func ownAddr(addr net.Addr) net.Addr {
	if r, ok := addr.(remote); ok {
		return r.Addr
	}

	return addr
}

// enter waits for a place in a room of the listener.
func (c *accepted) enter(room *gate.Room) error {
	evict := func() {
		c.evicted.Store(true)
		c.Refuse(errNoRoom)
	}

	guest, err := room.Enter(c.visit.host, evict, c.gone, acceptTimeout)
	if err != nil {
		return errNoRoom
	}

	c.mu.Lock()
	c.places[room] = guest
	c.mu.Unlock()

	// The connection may have been closed meanwhile.
	if c.closed.Load() {
		c.leave(room)

		return errNoRoom
	}

	return nil
}

// leave gives back the place in a room, if there is one.
func (c *accepted) leave(room *gate.Room) {
	c.mu.Lock()
	guest := c.places[room]
	delete(c.places, room)
	c.mu.Unlock()

	room.Leave(guest)
}

// confine bounds what the peer may do after its handshake. gRPC takes in the headers and the request of a
// call before the node can check the caller. So a stranger could fill the memory with calls that the node
// refuses in the end, or that never end. The error has a status.
//
// A member that has just joined is a stranger until its certificate has come here. So the connection asks
// known once more before it refuses the peer, and before it closes.
func (c *accepted) confine(known func() bool) error {
	if err := c.enter(c.listener.strangers); err != nil {
		return err
	}

	c.known = known
	c.left.Add(strangerBytes - handshakeBytes)
	c.calls.Store(strangerCalls)

	c.mu.Lock()
	defer c.mu.Unlock()

	c.end = time.AfterFunc(strangerPeriod, func() {
		if c.isStranger() {
			_ = c.Close()
		}
	})

	return nil
}

// isStranger asks again whether the peer is a stranger, and frees it if not.
func (c *accepted) isStranger() bool {
	if !c.celled.Load() {
		return false
	}

	// During the handshake the node does not know the key of the peer.
	if c.known == nil || !c.known() {
		return true
	}

	c.Free()

	return false
}

// Free implements trust.Conn: it ends the cell. It may be called at any time.
func (c *accepted) Free() {
	if !c.celled.Swap(false) {
		return
	}

	c.leave(c.listener.strangers)

	c.mu.Lock()
	defer c.mu.Unlock()

	if c.end != nil {
		c.end.Stop()
	}
}

// spend counts a call with headers of that many bytes. It returns an error with a status if the peer may
// not make it any more.
func (c *accepted) spend(headers int) error {
	if c.celled.Load() && (c.left.Add(-int64(headers)) < 0 || c.calls.Add(-1) < 0) && c.isStranger() {
		return errStranger
	}

	return nil
}

// Read implements net.Conn.
func (c *accepted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.meter.Note(n)

	if err != nil {
		c.broken.CompareAndSwap(nil, &err)
	}

	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}

	if c.celled.Load() && c.left.Add(-int64(n)) < 0 && c.isStranger() {
		c.Refuse(errStranger)

		return 0, errStranger
	}

	return n, err
}

// SetDeadline implements net.Conn. The server sets a deadline for the handshake, and removes it after the
// handshake: nothing else says when that is over. Only the time counts in which the process gets the
// processor.
func (c *accepted) SetDeadline(t time.Time) error {
	if t.IsZero() {
		c.listener.settled(c)
		c.leave(c.listener.arrivals)
		c.visit.release(setUps)
		c.bound(time.Time{})

		return c.Conn.SetDeadline(t)
	}

	c.bound(t)

	return nil
}

// bound ends the handshakes at a time, or never if that is zero. What waits to be read then may have come in
// time, so only the time counts in which this process gets the processor.
func (c *accepted) bound(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.late != nil {
		c.late.Stop()
		c.late = nil
	}

	if t.IsZero() || c.closed.Load() {
		return
	}

	var late *deadline.Deadline

	left := time.Until(t)
	late = deadline.Start(left, left, func() {
		c.mu.Lock()
		defer c.mu.Unlock()

		if c.late == late {
			_ = c.Conn.SetDeadline(t)
		}
	})
	c.late = late
}

// Closed implements trust.Conn.
func (c *accepted) Closed() bool {
	return c.closed.Load()
}

// Close implements net.Conn.
func (c *accepted) Close() error {
	c.closed.Store(true)
	c.once.Do(func() { close(c.gone) })
	c.listener.forget(c)
	c.Free()
	c.listener.settled(c)
	c.bound(time.Time{})

	for _, room := range []*gate.Room{c.listener.arrivals, c.listener.handshakes, c.listener.strangers} {
		c.leave(room)
	}

	c.Unclaim()
	c.unclaimAllMessages()
	c.visit.end()

	return c.Conn.Close()
}
