package session

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session/internal/watch"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// sharedConn is the connection that [ConnManager.Acquire] returns to all who share it.
type sharedConn struct {
	*grpc.ClientConn

	mgr  *ConnManager
	addr mino.Address

	// evicted is set before the connection is closed by an eviction. A connection that is closed
	// after its last Release, or with its manager, has no successor.
	evicted atomic.Bool

	// agreed is what the node at the other end has agreed to.
	agreed agreements

	// meter is that of the newest handshake.
	meter atomic.Pointer[watch.Meter]
}

// isAlive tells whether bytes have come over a connection in the second half of an attempt to open a
// stream, which may be for other streams. Those of the handshake came before. It is false where nobody
// knows.
func isAlive(conn grpc.ClientConnInterface, began time.Time) bool {
	own, ok := conn.(*sharedConn)
	if !ok {
		return false
	}

	meter := own.meter.Load()
	if meter == nil {
		return false
	}

	bytes, last := meter.Reads()

	// Before the first bytes the last ones seem to have come when the connection was made.
	return bytes > 0 && time.Since(last) < time.Since(began)/2
}

// Invoke implements grpc.ClientConnInterface. Who has the connection may not know that somebody else
// has evicted it. The relay to a parent makes calls for as long as the stream of the parent lasts,
// and that stream has another connection, which the parent has dialled. So a call after an eviction
// takes the successor, and dials it if need be. A stream does not: who opens one acquires a connection
// for it, and evicts that very connection if the stream hangs.
func (c *sharedConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if !c.evicted.Load() {
		return c.ClientConn.Invoke(ctx, method, args, reply, opts...)
	}

	next, err := c.mgr.Acquire(c.addr)
	if err != nil {
		// gRPC has this code for the calls over a closed connection.
		return status.Errorf(codes.Canceled, "the connection was given up, and there is no other: %v", err)
	}

	defer c.mgr.Release(c.addr)

	return next.Invoke(ctx, method, args, reply, opts...)
}

// evict returns the connection, if there is one, as one that has been evicted.
func (c *sharedConn) evict() *sharedConn {
	if c != nil {
		c.evicted.Store(true)
	}

	return c
}
