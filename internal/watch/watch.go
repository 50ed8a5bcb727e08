// Package watch notes when bytes come over a connection, whichever stream they are for.
package watch

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// Meter counts the bytes that have been read from a connection. Its methods may be called from
// several goroutines at once.
type Meter struct {
	began time.Time
	bytes atomic.Uint64
	// last is how long after began the last bytes came.
	last atomic.Int64
}

// NewMeter returns the meter of a new connection.
func NewMeter() *Meter {
	return &Meter{began: time.Now()}
}

// Note counts n bytes that have been read now.
func (m *Meter) Note(n int) {
	if n > 0 {
		m.bytes.Add(uint64(n))
		m.last.Store(int64(time.Since(m.began)))
	}
}

// Reads returns how many bytes have been read, and when the last of them were.
func (m *Meter) Reads() (bytes uint64, last time.Time) {
	return m.bytes.Load(), m.began.Add(time.Duration(m.last.Load()))
}

// Credentials returns credentials that watch every connection for which they shake hands as
// the client, and call began with its meter, which is that of the newest one from then on. Meanwhile
// the connection is still what the dialer has returned, whoever that is.
func Credentials(creds credentials.TransportCredentials, began func(*Meter)) credentials.TransportCredentials {
	return watching{creds, began}
}

// Of returns the meter of the connection of a stream of a client with such credentials, once the
// stream has got its header. It returns nil for any other.
func Of(ctx context.Context) *Meter {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}

	a, _ := p.Addr.(addr)

	return a.meter
}

type watching struct {
	credentials.TransportCredentials

	began func(*Meter)
}

// ClientHandshake implements credentials.TransportCredentials.
func (w watching) ClientHandshake(ctx context.Context, authority string, raw net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	meter := NewMeter()
	w.began(meter)

	return w.TransportCredentials.ClientHandshake(ctx, authority, &conn{Conn: raw, meter: meter})
}

// Clone implements credentials.TransportCredentials.
func (w watching) Clone() credentials.TransportCredentials {
	return watching{w.TransportCredentials.Clone(), w.began}
}

type conn struct {
	net.Conn

	meter *Meter
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.meter.Note(n)

	return n, err
}

// RemoteAddr implements net.Conn. gRPC tells a stream this address and nothing else of its
// connection, so the address leads to the meter.
func (c *conn) RemoteAddr() net.Addr {
	return addr{c.Conn.RemoteAddr(), c.meter}
}

type addr struct {
	net.Addr

	meter *Meter
}
