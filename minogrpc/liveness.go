package minogrpc

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// DefaultLiveness is how long the other end of a connection may be silent, while
// it should answer, before the connection is given up.
const DefaultLiveness = 10 * time.Second

// probes is how many of the probes of TCP fit between the silence that starts them
// and the end of the liveness bound.
const probes = 3

// WithLiveness sets how long the other end of a TCP connection may be silent, while
// its kernel should answer, before the connection is given up: the machine is gone,
// or the way to it. The default is [DefaultLiveness]. The kernel counts in seconds,
// and does not notice in less than four. A process that hangs on a machine that
// runs is not silent in this sense.
//
// It must be positive; anything else is ignored. It has no effect on the
// connections of [WithListener] and on those of a dialer in [WithDialOptions].
func WithLiveness(d time.Duration) Option {
	return optionFunc(func(c *config) {
		if d > 0 {
			c.liveness = d
		}
	})
}

// keepAlive returns when to probe a connection that is silent, so that the last
// probe is due with the bound. HTTP/2 has pings for this, for which servers with
// the defaults of gRPC close a connection.
func (c *config) keepAlive() net.KeepAliveConfig {
	interval := max(c.liveness/(probes+2), time.Second)

	return net.KeepAliveConfig{
		Enable:   true,
		Idle:     max(c.liveness-probes*interval, time.Second),
		Interval: interval,
		Count:    probes,
	}
}

// openPort listens for TCP connections whose ends are watched.
func (c *config) openPort(addr net.Addr) (net.Listener, error) {
	listen := net.ListenConfig{KeepAliveConfig: c.keepAlive(), Control: c.limitSilence}

	return listen.Listen(context.Background(), addr.Network(), addr.String())
}

// dialTCP is the dialer of the node.
func (c *config) dialTCP(ctx context.Context, target string) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: c.keepAlive(), Control: c.limitSilence}

	return dialer.DialContext(ctx, "tcp", target)
}

// limitSilence bounds how long what has been sent may go without an answer of the
// other kernel. The probes are for an idle connection only.
func (c *config) limitSilence(network, _ string, raw syscall.RawConn) error {
	var failure error

	if !strings.HasPrefix(network, "tcp") {
		return nil
	}

	err := raw.Control(func(fd uintptr) { failure = setUserTimeout(fd, c.liveness) })
	if err == nil {
		err = failure
	}

	if err != nil {
		return fmt.Errorf("set the user timeout of a socket: %w", err)
	}

	return nil
}
