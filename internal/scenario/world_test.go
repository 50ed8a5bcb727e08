package scenario_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/existing"
	"github.com/minogrpc/session/internal/scenario"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
	"github.com/minogrpc/session/traffic"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// world is the network of a scenario and what has happened in it. It lives in a
// bubble. Its fields belong to the goroutine of the test.
type world struct {
	*testing.T

	sc    *scenario.Scenario
	mode  scenario.Mode
	links scenario.Links
	began time.Time

	net    *sessiontest.Network
	router router.Router
	store  certs.Storage
	// theirs has the same certificates as store, for the existing nodes.
	theirs *existing.Store
	nodes  map[string]*node
	// opens is how the orchestrator opens the stream.
	opens func(context.Context, mino.Players) (mino.Sender, mino.Receiver, error)
	book  *book
	// record draws what has happened, if that is not as it should be.
	record *traffic.Record

	ctx    context.Context
	cancel context.CancelFunc

	// sending is held during a Send, and sent counts them, so that what is sent by
	// several goroutines has an order.
	sending sync.Mutex
	sent    int

	// sendings are the sends so far, and collectors the goroutines that the runner
	// uses for their outcomes.
	sendings   []*sending
	collectors int

	// over is closed when those that hang on purpose are to end, and tasks are all
	// the goroutines of the runner.
	over      chan struct{}
	tasks     sync.WaitGroup
	stopPeers []func()

	// mu guards failures, which is what is not as it should be.
	mu       sync.Mutex
	failures []string
}

// node is one player, or the orchestrator, but no peer.
type node struct {
	// stop ends the node. It is nil while the node is stopped.
	stop func() error

	name string
	cert *tls.Certificate
	// life counts how often it was started.
	life int
}

func newWorld(t *testing.T, sc *scenario.Scenario, mode scenario.Mode, links scenario.Links) *world {
	w := &world{
		T: t, sc: sc, mode: mode, links: links, began: time.Now(),
		net:    sessiontest.NewNetwork(),
		router: tree.NewRouter(minogrpc.NewAddressFactory(), tree.WithHeight(sc.Height)),
		store:  certs.NewInMemoryStore(),
		theirs: existing.NewStore(),
		nodes:  make(map[string]*node),
		over:   make(chan struct{}),
		record: traffic.NewRecord(),
	}
	w.book = newBook(w)
	w.ctx, w.cancel = context.WithCancel(t.Context())

	depths, err := sessiontest.Depths(w.router, w.addresses(sc.Players...))
	require.NoError(t, err)
	require.Equal(t, sc.Depths, depths, "the tree is not drawn as it grows")

	for _, name := range sc.Nodes() {
		cert := w.newCertificate(name)
		if does, ok := sc.Peers[name]; ok {
			w.servePeer(name, does, cert)

			continue
		}

		w.nodes[name] = &node{name: name, cert: cert}
		w.start(w.nodes[name])
	}

	return w
}

// now is the time since the beginning.
func (w *world) now() time.Duration {
	return time.Since(w.began)
}

// failf notes that a line of the scenario is not true, or, with line 0, one of the
// rules of all scenarios.
func (w *world) failf(line int, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.failures = append(w.failures, fmt.Sprintf("line %d, at %v: %s", line, w.now(), fmt.Sprintf(format, args...)))
}

// host returns where a node listens.
func host(name string) string {
	return name + ":1"
}

func (w *world) url(name string) *url.URL {
	if w.mode == scenario.TLS {
		return &url.URL{Scheme: "grpcs", Host: host(name)}
	}

	return &url.URL{Scheme: "grpc", Host: host(name)}
}

// address returns the address that a name stands for as a destination.
func (w *world) address(name string) mino.Address {
	if name == "" {
		return nil
	}

	addr := session.NewAddress(w.url(name).String())
	if name == scenario.Orchestrator {
		return session.NewOrchestratorAddress(addr)
	}

	return addr
}

func (w *world) addresses(names ...string) []mino.Address {
	addrs := make([]mino.Address, len(names))
	for i, name := range names {
		addrs[i] = w.address(name)
	}

	return addrs
}

func (w *world) players() mino.Players {
	return mino.NewAddresses(w.addresses(w.sc.Players...)...)
}

// nameOf returns the name of a node that an address stands for.
func nameOf(addr mino.Address) string {
	own, ok := session.FollowerOf(addr).(session.Address)
	if !ok {
		return ""
	}

	name, _ := own.GetHostname()

	return name
}

// start begins a life of a node.
func (w *world) start(n *node) {
	listener, err := w.net.Listen(host(n.name))
	require.NoError(w, err)

	n.life++

	if w.isExisting(n.name) {
		w.startExisting(n, listener)
	} else {
		w.startOurs(n, listener)
	}
}

// startOurs begins a life of a node of this library.
func (w *world) startOurs(n *node, listener net.Listener) {
	opts := []minogrpc.Option{
		minogrpc.WithListener(listener),
		minogrpc.WithDialOptions(grpc.WithContextDialer(w.net.Dialer(host(n.name)))),
		minogrpc.WithStorage(w.store),
		minogrpc.WithSessionOptions(w.options(n)...),
	}

	if w.mode == scenario.Plain {
		opts = append(opts, minogrpc.NoTLS())
	} else {
		opts = append(opts, minogrpc.WithCert(n.cert))
	}

	if len(w.sc.Existing) > 0 {
		opts = append(opts, minogrpc.AllowUnauthenticatedPeers())
	}

	if w.isUnicast(n.name) {
		opts = append(opts, minogrpc.WithoutDuplex())
	}

	running, err := minogrpc.NewMinogrpc(nil, w.url(n.name), w.router, opts...)
	require.NoError(w, err)

	n.stop = running.Stop

	rpc := mino.MustCreateRPC(running, rpcName, w.handler(n), texts{})
	if n.name == scenario.Orchestrator {
		w.opens = rpc.Stream
	}
}

// isUnicast tells whether a node does without duplex links. Where they are mixed, two
// players can and two cannot, in turn, so that there is every kind of neighbours.
func (w *world) isUnicast(name string) bool {
	switch w.links {
	case scenario.Unicast:
		return true
	case scenario.Mixed:
		return slices.Index(w.sc.Players, name)/2%2 == 1
	case scenario.Duplex:
	}

	return false
}

// stop ends a life of a node. It returns at once.
func (w *world) stop(n *node) {
	if n.stop == nil {
		return
	}

	stop := n.stop
	n.stop = nil

	w.book.silence(n.name, n.life)
	w.tasks.Go(func() {
		if err := stop(); err != nil {
			w.failf(0, "stop %s: %v", n.name, err)
		}
	})
}

// options returns the options of the sessions of a node.
func (w *world) options(n *node) []session.Option {
	o := w.sc.Options

	opts := []session.Option{
		session.WithObserver(w.book.observer(n.name, n.life)),
		session.WithObserver(w.record.Observer()),
		session.WithSetupTimeout(o.Setup),
		session.WithOutcomeTimeout(o.Outcome),
		session.WithAdoptionGrace(o.Grace),
		session.WithQueueLimits(o.Queue, session.DefaultQueueBytes),
		session.WithOutboxLimits(o.Outbox, session.DefaultOutboxBytes),
	}

	return opts
}

// patience is how long it may take until everything of a stream is gone.
func (w *world) patience() time.Duration {
	o := w.sc.Options

	return max(o.Outcome, session.DefaultOutcomeTimeout) + max(o.Grace, session.DefaultAdoptionGrace)
}

// servePeer runs a player that is no node of this library.
func (w *world) servePeer(name string, does scenario.Peer, cert *tls.Certificate) {
	if does == scenario.Absent {
		return // Nobody listens.
	}

	listener, err := w.net.Listen(host(name))
	require.NoError(w, err)

	peer := new(sessiontest.Peer)

	switch does {
	case scenario.Mute:
		w.stopPeers = append(w.stopPeers, func() { _ = listener.Close() })

		return
	case scenario.Headerless:
		peer.NoHeader = true
	case scenario.Ackless:
		peer.OnForward = sessiontest.NeverAck
	case scenario.Babbling:
		peer.OnForward = sessiontest.AckNonsense()
	case scenario.Refusing:
		peer.Refuse = status.Error(codes.PermissionDenied, "refused")
	case scenario.Absent:
	}

	var opts []grpc.ServerOption
	if w.mode == scenario.TLS {
		opts = append(opts, grpc.Creds(credentials.NewServerTLSFromCert(cert)))
	}

	w.stopPeers = append(w.stopPeers, peer.Serve(listener, opts...))
}

// newCertificate makes the certificate of a player, which all the others know. It
// is made in the bubble, and so is valid there.
func (w *world) newCertificate(name string) *tls.Certificate {
	if w.mode == scenario.Plain {
		return nil
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(w, err)

	template := &x509.Certificate{
		NotBefore: time.Now(),
		NotAfter:  time.Now().Add(24 * time.Hour),
		DNSNames:  []string{name},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(w, err)
	require.NoError(w, w.store.Store(w.address(name), der))
	w.theirs.Put(w.model(name), der)

	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// sameNames compares two sets of names.
func (w *world) sameNames(step scenario.Step, what string, got, want []string) {
	want = slices.Clone(want)
	slices.Sort(got)
	slices.Sort(want)

	if !slices.Equal(got, want) {
		w.failf(step.Line, "%s %v, not %v\n%s", what, got, want, w.book.story())
	}
}
