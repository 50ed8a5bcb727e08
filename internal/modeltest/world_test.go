package modeltest_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/existing"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/sessiontest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
)

// rpcName is the procedure that all the nodes have.
const rpcName = "model"

// world is the nodes of one case, real ones on a network in memory, and what has
// been seen of them.
type world struct {
	*scenario

	network *sessiontest.Network
	began   time.Time
	// running are the nodes by number; nil is one that has been stopped.
	running []interface{ Stop() error }
	cancel  context.CancelFunc
	conns   atomic.Int64
	// known is the store of all the nodes, and keys are what they prove with TLS.
	known certs.Storage
	keys  []ed25519.PrivateKey
	// theirs has the same certificates for the existing nodes, and certificates are those.
	theirs       *existing.Store
	certificates []*tls.Certificate

	mu sync.Mutex
	// resumed is broadcast when a reader may go on.
	resumed           sync.Cond
	paused, hasPaused map[place]bool
	// moment counts what happens, so that it can be told what was first.
	moment   int
	timeline []string
	wrong    []string
	messages []*message
	// parts are the sessions, as protocols see them, by place and in the order of
	// their starts.
	parts  map[place][]*part
	faults []fault
	// starts counts those of each node.
	starts []int
}

// fault is something that has been wrong, or slow, between two nodes, or, if they
// are the same, with one.
type fault struct {
	a, b   int
	kind   kind
	moment int
}

// kind tells what a fault may cost.
type kind int

const (
	// broken is whatever may cost every message on the way.
	broken kind = iota
	// stopped is a node that is gone. Others take its place.
	stopped
	// slow costs time.
	slow
)

// part is one session of a place.
type part struct {
	place place
	// life says which start of the node it belongs to.
	life int
	out  mino.Sender
	// got has the time at which each message was received, and order its place among
	// them.
	got   map[string]time.Time
	order map[string]int
	// ended is the moment of the end of Recv, 0 before, and cause its error.
	ended int
	cause error
}

func newWorld(sc *scenario) *world {
	w := &world{
		scenario: sc,
		network:  sessiontest.NewNetwork(),
		began:    time.Now(),
		running:  make([]interface{ Stop() error }, sc.nodes),
		known:    certs.NewInMemoryStore(),
		keys:     make([]ed25519.PrivateKey, sc.nodes),
		theirs:   existing.NewStore(),

		certificates: make([]*tls.Certificate, sc.nodes),
		paused:       make(map[place]bool),
		parts:        make(map[place][]*part),
		hasPaused:    make(map[place]bool),
		starts:       make([]int, sc.nodes),
	}
	w.resumed.L = &w.mu

	return w
}

// open starts the nodes and the stream.
func (w *world) open() {
	stream := w.start(0)
	for i := 1; i < w.nodes; i++ {
		w.start(i)
	}

	players := make([]mino.Address, 0, len(w.players))
	for _, p := range w.players {
		players = append(players, w.address(p))
	}

	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())

	if w.news {
		ctx = mino.WithNews(ctx)
	}

	out, in, err := stream(ctx, mino.NewAddresses(players...))
	if err != nil {
		panic(err)
	}

	p := w.enter(orchestrator, out)
	go w.read(p, in)
}

// restart makes a node of the number, unless it is running.
func (w *world) restart(i int) {
	if w.running[i] == nil {
		w.start(i)
	}
}

// opener is how a node opens a stream.
type opener func(context.Context, mino.Players) (mino.Sender, mino.Receiver, error)

// start makes a node of the number.
func (w *world) start(i int) opener {
	listener, err := w.network.Listen(host(i))
	if err != nil {
		panic(err)
	}

	w.starts[i]++

	if w.existing[i] {
		return w.startExisting(i, listener)
	}

	return w.startOurs(i, listener)
}

// startOurs makes a node of this library.
func (w *world) startOurs(i int, listener net.Listener) opener {
	options := []session.Option{session.WithOutcomeTimeout(w.outcome)}
	if w.queue > 0 {
		options = append(options, session.WithQueueLimits(w.queue, session.DefaultQueueBytes))
	}

	opts := []minogrpc.Option{
		minogrpc.WithListener(listener), minogrpc.WithSessionOptions(options...),
		minogrpc.WithDialOptions(
			grpc.WithContextDialer(w.network.Dialer(host(i))),
			grpc.WithStatsHandler((*connCounter)(&w.conns))),
	}
	opts = append(opts, w.security(i)...)

	if w.unicast[i] {
		opts = append(opts, minogrpc.WithoutDuplex())
	}

	node, err := minogrpc.NewMinogrpc(nil, w.publicURL(i), newRouter(w.height), opts...)
	if err != nil {
		panic(err)
	}

	w.running[i] = node
	w.theirs.Put(w.model(i), node.GetCertificateChain())

	return mino.MustCreateRPC(node, rpcName, handler{world: w, place: place(i)}, fake.MessageFactory{}).Stream
}

// security returns the options by which a node is secured, or not.
func (w *world) security(i int) []minogrpc.Option {
	if !w.tls {
		return []minogrpc.Option{minogrpc.NoTLS()}
	}

	// A node that is started again is the one that it was.
	if w.keys[i] == nil {
		_, w.keys[i], _ = ed25519.GenerateKey(nil) // it never fails
	}

	opts := []minogrpc.Option{minogrpc.WithStorage(w.known), minogrpc.WithCertificateKey(w.keys[i], nil)}
	if w.mixed() {
		opts = append(opts, minogrpc.AllowUnauthenticatedPeers())
	}

	return opts
}

// stop stops a node, if it is running.
func (w *world) stop(i int) {
	node := w.running[i]
	if node == nil {
		return
	}

	w.disturb(fault{a: i, b: i, kind: stopped})
	// What does not read would hold up its node.
	w.pause(place(i), false)
	w.running[i] = nil

	if err := node.Stop(); err != nil {
		w.violatedf("n%d stops: %v", i, err)
	}
}

// healAll undoes all the faults, except that nodes which have been stopped are new
// ones.
func (w *world) healAll() {
	for a := range w.running {
		for b := range w.running {
			w.network.Heal(host(a), host(b))
			w.network.Delay(host(a), host(b), 0)
		}

		w.network.AllowDial(host(a))
		w.restart(a)
	}
}

// quiet waits until everything waits.
func (w *world) quiet() {
	synctest.Wait()
}

// fault notes that something is wrong from now on.
func (w *world) fault(a, b int) {
	w.disturb(fault{a: a, b: b, kind: broken})
}

// blink notes that a link breaks, and that nothing keeps it from going on.
func (w *world) blink(a, b int) {
	w.mu.Lock()
	slowed := slices.ContainsFunc(w.faults, func(f fault) bool { return f.a == a && f.b == b || f.a == b && f.b == a })
	w.mu.Unlock()

	// On a slow one a set-up may be under way, and a dial takes a while.
	if w.unicast[a] || w.unicast[b] || w.existing[a] || w.existing[b] || slowed || w.outcome < time.Second*10 {
		w.fault(a, b)
	} else {
		w.slow(a, b)
	}
}

// slow notes that a link is slow, or was so.
func (w *world) slow(a, b int) {
	w.disturb(fault{a: a, b: b, kind: slow})
}

func (w *world) disturb(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()

	f.moment = w.tickLocked()
	w.faults = append(w.faults, f)
}

// pause makes the reader of a place wait, or not wait any more.
func (w *world) pause(p place, paused bool) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.paused[p] = paused
	w.hasPaused[p] = w.hasPaused[p] || paused
	w.resumed.Broadcast()
}

// resumeAll lets everybody read.
func (w *world) resumeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()

	clear(w.paused)
	w.resumed.Broadcast()
}

// connCounter counts the connections that are open.
type connCounter atomic.Int64

// HandleConn implements stats.Handler.
func (c *connCounter) HandleConn(_ context.Context, s stats.ConnStats) {
	switch s.(type) {
	case *stats.ConnBegin:
		(*atomic.Int64)(c).Add(1)
	case *stats.ConnEnd:
		(*atomic.Int64)(c).Add(-1)
	}
}

// TagConn implements stats.Handler.
func (*connCounter) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (*connCounter) HandleRPC(context.Context, stats.RPCStats) {}

// TagRPC implements stats.Handler.
func (*connCounter) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }
