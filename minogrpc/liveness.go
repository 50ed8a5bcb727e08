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

// probes is how many probes TCP sends between the silence that starts them and the end of the liveness
// bound.
const probes = 3

// maxKeepAlive is the longest silence that Linux takes before the first probe.
const maxKeepAlive = 32767 * time.Second

// WithLiveness sets how long a neighbour may be silent before it is lost. The default is
// [DefaultLiveness]. All nodes should have the same. A time that is not positive is ignored, and a time
// above [session.MaxTimeout] counts as MaxTimeout.
//
// On a duplex link it bounds the time without a frame: see [session.WithLiveness]. On every TCP
// connection it bounds the time without an answer of the other kernel, whose machine may be gone, or
// cut off. The kernel counts in seconds, and needs at least four. A kernel answers even while its
// process hangs, so only a duplex link notices that. For TCP the option has no effect on the
// connections of [WithListener], nor on those of a dialer in [WithDialOptions].
func WithLiveness(d time.Duration) Option {
	return optionFunc(func(c *config) {
		if d > 0 {
			d = min(d, session.MaxTimeout)
			c.liveness = d
			c.session = append(c.session, session.WithLiveness(d))
		}
	})
}

// keepAlive returns when to probe a silent connection, so that the last probe is due with the bound. It
// does not use the pings of HTTP/2: a gRPC server with default options closes a connection for them.
func (c *config) keepAlive() net.KeepAliveConfig {
	interval := max(c.liveness/(probes+2), time.Second)

	return net.KeepAliveConfig{
		Enable:   true,
		Idle:     min(max(c.liveness-probes*interval, time.Second), maxKeepAlive),
		Interval: interval,
		Count:    probes,
	}
}

// openPort listens for TCP connections, with the bound on silence.
func (c *config) openPort(addr net.Addr) (net.Listener, error) {
	listen := net.ListenConfig{KeepAliveConfig: c.keepAlive(), Control: c.limitSilence}

	return listen.Listen(context.Background(), addr.Network(), addr.String())
}

// dialTCP is the dialer of the node.
func (m *Minogrpc) dialTCP(ctx context.Context, target string) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: m.keepAlive(), Control: m.limitSilence}

	conn, err := dialer.DialContext(ctx, "tcp", target)
	m.dialled(ctx, target, err)

	return conn, err
}

// limitSilence bounds how long the other kernel may leave sent bytes without an answer. The probes are
// for an idle connection only.
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
