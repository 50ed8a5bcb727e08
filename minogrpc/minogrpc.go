package minogrpc

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/internal/trust"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
)

const (
	// loggedRefusals is how many refusals a node logs before it logs at most one per second.
	loggedRefusals = 100

	// maxSetUps is how many connections to others a node sets up at once. Shares have a part of them,
	// and the rest is for the streams.
	maxSetUps = 512
)

var errNoAddress = errors.New("no address")

// Minogrpc is one node of the overlay. It implements [mino.Mino] and [Joinable]. Its methods may be
// called from several goroutines at once.
type Minogrpc struct {
	config

	me      session.Address
	text    string // of the address
	router  router.Router
	context serde.Context
	own     *trust.Own // the certificate; nil without TLS
	conns   *session.ConnManager
	host    *host.Host
	server  *grpc.Server
	tally   *tally
	rates   *rates
	// shared is the memory of the node: that of its sessions and of large headers.
	shared *session.MemoryBudget
	// dials has a turn for each link or connection that is being set up, but for those of shares.
	dials *session.DialLimit
	// peers are the nodes that this one knows, guard checks who is at the other ends, and shares tell
	// of newcomers.
	peers  *trust.Peers
	guard  *trust.Guard
	shares *trust.Shares

	// plain is the logger without the node: a stream names the node itself.
	plain zerolog.Logger
	// refusalLog keeps a hostile peer from filling the log, and dialLog nodes that are away.
	refusalLog, dialLog rate.Sometimes
}

// NewMinogrpc returns a node that listens on the address and already serves. All its streams share the
// router. Other nodes reach the node under the public URL; [session.NewAddressFromURL] says what form
// it has. Nil stands for the socket that the node listens on, as grpc:// with [NoTLS] and as grpcs://
// otherwise. The address to listen on may be nil only with [WithListener], which replaces it.
//
// The node writes its address in small letters, without a dot at the end of the host, and an IP address
// in its shortest form. If its store has a certificate for the address as you give it, the node keeps
// that spelling. These public addresses are errors:
//
//   - an IPv6 address with a zone, which means nothing to other nodes: a node that listens on one
//     needs a public URL without a zone;
//   - an address without a port;
//   - 0.0.0.0 or [::], which stand for every address of a machine: a node that listens on one needs
//     a public URL.
//
// NewMinogrpc also returns an error when it cannot listen, when the router is nil, and when the options
// contradict each other or fail. It then holds no port and no goroutine.
func NewMinogrpc(listen net.Addr, public *url.URL, router router.Router, opts ...Option) (*Minogrpc, error) {
	m := &Minogrpc{
		config:  newConfig(opts),
		router:  router,
		context: json.NewContext(),
		tally:   newTally(),

		refusalLog: rate.Sometimes{First: loggedRefusals, Interval: time.Second},
		dialLog:    rate.Sometimes{First: loggedRefusals, Interval: time.Second},
	}
	m.rates = newRates(m.limits)

	shared, wrong := m.budget()
	m.shared = shared

	// The node closes the user's listener even if it does not start.
	listener, err := m.listen(listen)
	if err != nil {
		return nil, err
	}

	// The store, the random source and the key are the user's code, and may panic.
	err = m.contain(func() error {
		if wrong != nil {
			return wrong
		}

		return m.setUp(listener.Addr(), public)
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}

	m.serve(listener)

	return m, nil
}

// listen opens the port, unless the options have a listener.
func (m *Minogrpc) listen(addr net.Addr) (net.Listener, error) {
	if m.listener != nil {
		return m.watch(m.listener), nil
	}

	if addr == nil {
		return nil, fmt.Errorf("listen: %w", errNoAddress)
	}

	port, err := m.openPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}

	return m.watch(port), nil
}

// watch returns a listener that keeps the limits of the node.
func (m *Minogrpc) watch(inner net.Listener) net.Listener {
	l := newListener(inner, m.limits, m.tally)
	l.rates = m.rates
	l.budget = m.shared
	l.secure = !m.noTLS
	l.ended = func(c *accepted) { m.guard.Forget(c) }
	l.refused = func(from net.Addr, cause error) { m.refused(Refusal{Peer: from, Err: cause}) }
	l.accepted = m.accepted

	return l
}

// setUp gives the node its address and its certificate, and makes the parts that a stop has to end.
func (m *Minogrpc) setUp(bound net.Addr, public *url.URL) error {
	if m.router == nil {
		return errors.New("no router")
	}

	if public == nil {
		public = &url.URL{Scheme: "grpcs", Host: bound.String()}
		if m.noTLS {
			public.Scheme = "grpc"
		}
	}

	me, err := session.NewAddressFromURL(*public)
	if err == nil {
		err = checkReachable(me)
	}

	if err == nil {
		me, err = m.spelt(me)
	}

	if err != nil {
		return fmt.Errorf("public address %v: %w", public, err)
	}

	m.me, m.text = me, spelling.Text(me)
	m.plain, m.logger = m.logger, m.logger.With().Stringer("node", me).Logger()

	if err = m.setUpTrust(); err != nil {
		return err
	}

	if m.open && m.own != nil {
		m.logger.Warn().Msg("unauthenticated peers are allowed: whoever reaches this node can act as any other")
	}

	m.dials = session.NewDialLimit(maxSetUps - trust.MaxShares)
	limits := m.sessionOptions(m.shared)
	m.session = append(limits, m.session...)
	// Only neighbours may send: the authorizer decides which nodes become neighbours.
	if m.guard.Strict() || m.authorizer != nil {
		m.session = append(m.session, session.WithNeighborsOnly())
	}

	m.conns = session.NewConnManager(m.connOptions()...)
	m.host = host.New(m.me, m.router, m.conns, m.hostOptions()...)
	m.shares = trust.NewShares(m.peers, m.host, m.tell)
	m.server, err = m.newServer()

	return err
}

// serve starts to accept connections. The server closes the listener when it ends.
func (m *Minogrpc) serve(listener net.Listener) {
	m.register()
	m.keepTrust()

	m.host.Go(host.Task{Name: "server"}, func() {
		// The node may be stopped before the server has begun.
		if err := m.server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			m.logger.Error().Err(err).Msg("server failed")
		}
	})
}

// GetAddress returns the address of the node, in its follower form.
func (m *Minogrpc) GetAddress() mino.Address {
	return m.me
}

// GetAddressFactory returns the factory for the addresses of the overlay: [NewAddressFactory].
func (m *Minogrpc) GetAddressFactory() mino.AddressFactory {
	return NewAddressFactory()
}

// String returns "minogrpc" and the address of the node, for people to read.
func (m *Minogrpc) String() string {
	return fmt.Sprintf("minogrpc[%v]", m.me)
}

// WithSegment returns the same node with one more segment in the path of the procedures that the result
// creates. A segment is one or more ASCII letters and digits; CreateRPC returns an error for any other.
func (m *Minogrpc) WithSegment(name string) mino.Mino {
	return segment{Minogrpc: m, path: host.Path{}.With(name)}
}

// CreateRPC registers the handler under the name. It returns the procedure by which this node calls the
// handlers of other nodes under the same name. A name is one or more ASCII letters and digits. CreateRPC
// returns an error for any other name, for a name that is taken, and for a nil handler or factory. The
// factory reads the messages and the answers.
func (m *Minogrpc) CreateRPC(name string, h mino.Handler, f serde.Factory) (mino.RPC, error) {
	return m.createRPC(host.Path{}, name, h, f)
}

func (m *Minogrpc) createRPC(path host.Path, name string, h mino.Handler, f serde.Factory) (mino.RPC, error) {
	p, err := m.host.Register(path, name, h, f)
	if err != nil {
		return nil, err
	}

	return &procedure{Procedure: p, node: m}, nil
}

// segment is a node that creates its procedures under a path.
type segment struct {
	*Minogrpc

	path host.Path
}

// WithSegment implements mino.Mino.
func (s segment) WithSegment(name string) mino.Mino {
	s.path = s.path.With(name)

	return s
}

// CreateRPC implements mino.Mino.
func (s segment) CreateRPC(name string, h mino.Handler, f serde.Factory) (mino.RPC, error) {
	return s.createRPC(s.path, name, h, f)
}
