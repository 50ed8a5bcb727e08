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

// Minogrpc is one node of the overlay. It implements [mino.Mino]. All methods may
// be called from several goroutines at once.
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

	// refusalLog keeps a hostile peer from filling the log.
	refusalLog rate.Sometimes
}

// NewMinogrpc returns a node that listens on the address and already serves. The
// router is shared by all its streams. The others reach the node under the public
// URL, of the form that [session.NewAddressFromURL] takes; nil stands for the
// socket that the node listens on, as grpc:// with [NoTLS] and as grpcs://
// otherwise. The address to listen on may be nil with [WithListener] only.
//
// The address of a new node is in small letters, without a dot at the end of its host, and with an
// IP address in its shortest form, however it is given. A node whose store has a certificate for
// the address as it is given keeps that. An IPv6 address with a zone is an error, because the zone
// means nothing to other nodes: listen on it if you like, and give a public URL without one. So is
// a public address without a port, or one that stands for every address of a machine: a node
// that listens on 0.0.0.0 or [::] needs a public URL.
//
// When it returns an error, it holds no port and no goroutine.
func NewMinogrpc(listen net.Addr, public *url.URL, router router.Router, opts ...Option) (*Minogrpc, error) {
	m := &Minogrpc{
		config:  newConfig(opts),
		router:  router,
		context: json.NewContext(),
		tally:   newTally(),

		refusalLog: rate.Sometimes{First: loggedRefusals, Interval: time.Second},
	}
	m.rates = newRates(m.limits)

	shared, wrong := m.budget()
	m.shared = shared

	// A listener that is given is closed also if the node does not start.
	listener, err := m.listen(listen)
	if err != nil {
		return nil, err
	}

	// The store, the random source and the key are those of somebody else.
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

// listen opens the port, unless the options bring a listener along.
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

// watch returns the listener within the limits of the node.
func (m *Minogrpc) watch(inner net.Listener) net.Listener {
	l := newListener(inner, m.limits, m.tally)
	l.rates = m.rates
	l.budget = m.shared
	l.secure = !m.noTLS
	l.ended = func(c *accepted) { m.guard.Forget(c) }
	l.refused = func(from net.Addr, cause error) { m.refused(Refusal{Peer: from, Err: cause}) }

	return l
}

// setUp gives the node its address and its certificate, and makes what has to be
// stopped later.
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
	m.logger = m.logger.With().Stringer("self", me).Logger()

	if err = m.setUpTrust(); err != nil {
		return err
	}

	if m.open && m.own != nil {
		m.logger.Warn().Msg("unauthenticated peers are allowed: whoever reaches this node can act as any other")
	}

	m.dials = session.NewDialLimit(maxSetUps - trust.MaxShares)
	limits := m.sessionOptions(m.shared)
	m.session = append(limits, m.session...)
	// The authorizer decides who becomes a neighbour, so nobody else may send.
	if m.guard.Strict() || m.authorizer != nil {
		m.session = append(m.session, session.WithNeighborsOnly())
	}

	m.conns = session.NewConnManager(m.connOptions()...)
	m.host = host.New(m.me, m.router, m.conns, m.hostOptions()...)
	m.shares = trust.NewShares(m.peers, m.host, m.tell)
	m.server, err = m.newServer()

	return err
}

// serve starts to accept connections. The end of the server is the end of the
// listener.
func (m *Minogrpc) serve(listener net.Listener) {
	m.register()
	m.keepTrust()

	m.host.Go(host.Task{Name: "server"}, func() {
		// It may be stopped before it has begun.
		if err := m.server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			m.logger.Error().Err(err).Msg("server failed")
		}
	})
}

// GetAddress returns the address of the node, in its follower form.
func (m *Minogrpc) GetAddress() mino.Address {
	return m.me
}

// GetAddressFactory returns the factory for the addresses of the overlay.
func (m *Minogrpc) GetAddressFactory() mino.AddressFactory {
	return NewAddressFactory()
}

// String returns the address of the node for people to read.
func (m *Minogrpc) String() string {
	return fmt.Sprintf("minogrpc[%v]", m.me)
}

// WithSegment returns the same node with a further segment in the path of the
// procedures that it creates. A segment is one or more letters and digits of
// ASCII; CreateRPC returns an error for any other.
func (m *Minogrpc) WithSegment(name string) mino.Mino {
	return segment{Minogrpc: m, path: host.Path{}.With(name)}
}

// CreateRPC registers the handler under the name and returns the procedure to call
// it on other nodes. A name is one or more letters and digits of ASCII. It returns
// an error for any other, when the name is taken, and when the handler or the
// factory is nil.
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

// segment is a node whose procedures are in a path of their own.
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
