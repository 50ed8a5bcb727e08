package sessiontest

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// conn is one end of a connection. It implements [net.Conn].
type conn struct {
	*connection

	// The lock of the connection guards what follows.
	out, in                     *pipe
	closed                      bool
	readDeadline, writeDeadline deadline
}

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if err := c.awaitLocked(&c.readDeadline, func() (bool, error) {
		return len(b) == 0 || c.in.isReadableLocked(), nil
	}); err != nil {
		return 0, c.opError("read", err)
	}

	n := c.in.readLocked(b)
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}

	c.changed.Broadcast()

	return n, nil
}

// Write implements [net.Conn]. The bytes of one Write stay together even if several goroutines write.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if err := c.awaitWriteLocked(func() bool { return !c.out.writing }); err != nil {
		return 0, err
	}

	c.out.writing = true
	defer func() {
		c.out.writing = false
		c.changed.Broadcast()
	}()

	written := 0
	for written < len(b) {
		if err := c.awaitWriteLocked(c.out.hasRoomLocked); err != nil {
			return written, err
		}

		n, delay := c.out.writeLocked(b[written:])
		c.wakeAfterLocked(delay)
		written += n
	}

	return written, nil
}

// Close implements [net.Conn]. Bytes that have been written still arrive.
func (c *conn) Close() error {
	if err := c.close(); err != nil {
		return c.opError("close", err)
	}

	return nil
}

func (c *conn) close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}

	c.closed = true
	c.readDeadline.setLocked(c.connection, time.Time{})
	c.writeDeadline.setLocked(c.connection, time.Time{})
	c.wakeAfterLocked(c.out.endLocked())
	c.changed.Broadcast() // for the Reads and Writes at this end
	last := c.dialled.closed && c.accepted.closed
	c.mu.Unlock()

	if last {
		c.network.forget(c.connection)
	}

	return nil
}

// awaitLocked waits until the condition holds, or until it never will.
func (c *conn) awaitLocked(until *deadline, condition func() (bool, error)) error {
	for {
		c.in.landLocked()

		switch {
		case c.closed:
			return net.ErrClosed
		case c.broken:
			return syscall.ECONNRESET
		case until.hasPassedLocked():
			return os.ErrDeadlineExceeded
		}

		if ok, err := condition(); ok || err != nil {
			return err
		}

		c.changed.Wait()
	}
}

// awaitWriteLocked is awaitLocked, but does not wait once the other end has closed. This end knows that
// when the last segment of the other end has arrived, and not earlier: a node must not learn by writing
// what a frozen direction keeps from it.
func (c *conn) awaitWriteLocked(condition func() bool) error {
	err := c.awaitLocked(&c.writeDeadline, func() (bool, error) {
		if c.in.ended {
			return false, syscall.EPIPE
		}

		return condition(), nil
	})
	if err != nil {
		return c.opError("write", err)
	}

	return nil
}

// LocalAddr implements [net.Conn]. It returns the address of the node.
func (c *conn) LocalAddr() net.Addr {
	return addr(c.out.way.from)
}

// RemoteAddr implements [net.Conn]. It returns the address that the other node has given as its own.
func (c *conn) RemoteAddr() net.Addr {
	return addr(c.out.way.to)
}

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.readDeadline, &c.writeDeadline)
}

// SetReadDeadline implements [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.readDeadline)
}

// SetWriteDeadline implements [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadlines(t, &c.writeDeadline)
}

func (c *conn) setDeadlines(t time.Time, deadlines ...*deadline) error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.closed {
		return c.opError("set", net.ErrClosed)
	}

	for _, d := range deadlines {
		d.setLocked(c.connection, t)
	}

	return nil
}

func (c *conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: networkName, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// deadline is the moment after which a Read or a Write does not wait. The zero value means none.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) setLocked(c *connection, t time.Time) {
	if d.timer != nil {
		d.timer.Stop()
	}

	*d = deadline{}

	if !t.IsZero() {
		// Relative to now, so that the timer and the comparison use the same clock.
		left := time.Until(t)
		d.at = time.Now().Add(left)
		d.timer = c.wakeAfterLocked(left)
	}
}

func (d *deadline) hasPassedLocked() bool {
	return !d.at.IsZero() && !time.Now().Before(d.at)
}
