package minogrpc

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/minogrpc/session"
)

// DefaultLiveness is how long a neighbour may be silent before it is lost.
const DefaultLiveness = session.DefaultLiveness

// probes is how many of the probes of TCP fit between the silence that starts them
// and the end of the liveness bound.
const probes = 3

// maxKeepAlive is the longest silence that Linux takes before the first probe.
const maxKeepAlive = 32767 * time.Second

// WithLiveness sets how long a neighbour may be silent before it is lost. The default is
// [DefaultLiveness]; all the nodes should have the same. It must be positive; anything
// else is ignored, and more than [session.MaxTimeout] counts as that.
//
// On a duplex link that is how long there may be no frame: see [session.WithLiveness].
// Everywhere else it is the other end of the TCP connection that may be silent, while
// its kernel should answer: the machine is gone, or the way to it. The kernel counts in
// seconds, and does not notice in less than four, and a process that hangs on a machine
// that runs is not silent in this sense. For TCP it has no effect on the connections of
// [WithListener] and on those of a dialer in [WithDialOptions].
func WithLiveness(d time.Duration) Option {
	return optionFunc(func(c *config) {
		if d > 0 {
			d = min(d, session.MaxTimeout)
			c.liveness = d
			c.session = append(c.session, session.WithLiveness(d))
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
		Idle:     min(max(c.liveness-probes*interval, time.Second), maxKeepAlive),
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
