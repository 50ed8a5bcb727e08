package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/bench/paired"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
)

// shape says what a world looks like.
type shape struct {
	mode    mode
	players int
	secure  bool

	// height of the tree. Zero is the default of the router.
	height int

	// delay puts the nodes on a network in memory, where everything takes that long
	// from one node to another. Without it they are on the loopback interface.
	delay time.Duration

	// inMemory puts the nodes on such a network without a delay.
	inMemory bool

	// defaults leaves the limits and the time-outs of the sessions as a user has them.
	defaults bool

	// liveness is how long a neighbour may be silent. Zero is the default.
	liveness time.Duration

	// handler returns the handler of one node. Without it all echo.
	handler func(node int) mino.Handler

	// heard is called with whatever the root hears from its children. It may be nil.
	heard func()
}

// in returns a world of that shape in a mode.
func (s shape) in(m mode) (*world, error) {
	s.mode = m

	return newWorld(s)
}

// world is an overlay in this process. The first node only orchestrates, and the
// others are the players.
type world struct {
	shape

	nodes   []*minogrpc.Minogrpc
	rpc     mino.RPC // of the orchestrator
	players []mino.Address
	network *sessiontest.Network // nil on the loopback interface

	// conns counts the connections between the nodes.
	conns atomic.Int64

	// ctx is that of the streams.
	ctx    context.Context
	cancel context.CancelFunc
}

// newWorld starts the nodes under the label of our side. No stream is open yet, and
// hence no connection.
func newWorld(s shape) (*world, error) {
	w := &world{shape: s}
	w.ctx, w.cancel = context.WithCancel(context.Background())

	if s.handler == nil {
		w.handler = func(int) mino.Handler { return echo{} }
	}

	if s.delay > 0 || s.inMemory {
		w.network = sessiontest.NewNetwork()
	}

	err := paired.Labelled(ours, w.start)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}

	return w, nil
}

// start starts the nodes, the orchestrator first, and lets all of them know each
// other.
func (w *world) start() error {
	for i := range w.shape.players + 1 {
		node, err := w.startNode(i)
		if err != nil {
			return fmt.Errorf("start a node: %w", err)
		}

		w.nodes = append(w.nodes, node)

		rpc, err := node.CreateRPC("bench", w.handler(i), blob(nil))
		if err != nil {
			return err
		}

		if i == 0 {
			w.rpc = rpc
		} else {
			w.players = append(w.players, node.GetAddress())
		}
	}

	return w.introduce()
}

// introduce gives each node the certificates of the others, and the links their
// delay.
func (w *world) introduce() error {
	if w.delay == 0 && !w.secure {
		return nil
	}

	for _, node := range w.nodes {
		for _, peer := range w.nodes {
			if w.network != nil {
				w.network.Delay(hostOf(node), hostOf(peer), w.delay)
			}

			if !w.secure {
				continue
			}

			err := node.GetCertificateStore().Store(peer.GetAddress(), peer.GetCertificateChain())
			if err != nil {
				return err
			}
		}
	}

	return nil
}

// hostOf returns where the others dial a node.
func hostOf(node *minogrpc.Minogrpc) string {
	addr, ok := node.GetAddress().(session.Address)
	if !ok {
		return ""
	}

	return addr.GetDialAddress()
}

// startNode starts one node with what differs from the defaults of the overlay.
func (w *world) startNode(i int) (*minogrpc.Minogrpc, error) {
	var options []tree.RouterOption
	if w.height > 0 {
		options = append(options, tree.WithHeight(w.height))
	}

	listener, dial, err := w.place(i)
	if err != nil {
		return nil, err
	}

	opts := []minogrpc.Option{
		minogrpc.WithListener(listener),
		minogrpc.WithDialOptions(grpc.WithContextDialer(w.counting(dial))),
	}

	if !w.defaults {
		opts = append(opts, minogrpc.WithSessionOptions(
			// A burst of large messages is more than may wait by default.
			session.WithOutboxLimits(1<<20, 1<<30),
			// What is measured may take long on a slow machine, and must not fail for that.
			session.WithOutcomeTimeout(5*time.Minute),
		))
	}

	opts = append(opts, w.mode.options(i)...)
	if w.liveness > 0 {
		opts = append(opts, minogrpc.WithSessionOptions(session.WithLiveness(w.liveness)))
	}

	if i == 1 && w.heard != nil {
		opts = append(opts, minogrpc.WithDialOptions(grpc.WithChainStreamInterceptor(w.hear)))
	}

	public := &url.URL{Scheme: "grpcs", Host: listener.Addr().String()}
	if !w.secure {
		public.Scheme = "grpc"
		opts = append(opts, minogrpc.NoTLS())
	}

	return minogrpc.NewMinogrpc(nil, public, tree.NewRouter(minogrpc.NewAddressFactory(), options...), opts...)
}

// dialer is what a gRPC client reaches the others with.
type dialer func(ctx context.Context, target string) (net.Conn, error)

// place returns where a node listens and how it dials.
func (w *world) place(i int) (net.Listener, dialer, error) {
	if w.network == nil {
		listener, err := listenLoopback()

		return listener, func(ctx context.Context, target string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", target)
		}, err
	}

	host := fmt.Sprintf("n%d:1", i)
	listener, err := w.network.Listen(host)

	return listener, w.network.Dialer(host), err
}

// counting returns the dialer with a count of the connections.
func (w *world) counting(dial dialer) dialer {
	return func(ctx context.Context, target string) (net.Conn, error) {
		conn, err := dial(ctx, target)
		if err == nil {
			w.conns.Add(1)
		}

		return conn, err
	}
}

// closeAll ends several worlds.
func closeAll(worlds []*world) error {
	var err error
	for _, w := range worlds {
		err = errors.Join(err, w.close())
	}

	return err
}

// close ends the streams and stops the nodes: the orchestrator first, so that the
// others have heard its goodbye.
func (w *world) close() error {
	w.cancel()

	var err error

	if len(w.nodes) > 0 {
		err = w.nodes[0].Stop()
	}

	var group errgroup.Group

	for _, node := range w.nodes[min(1, len(w.nodes)):] {
		group.Go(node.Stop)
	}

	err = errors.Join(err, group.Wait())

	if w.network != nil {
		w.network.Close()
	}

	return err
}
