package worlds_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde/json"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// world is a network in memory. Its sessions are real, and the test plays their neighbours. It
// lives in a bubble of virtual time.
type world struct {
	*testing.T

	net     *sessiontest.Network
	cleanup []func()
}

// inWorld runs a test in a world, and cleans the world up inside the bubble.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()

	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: sessiontest.NewNetwork()}

		defer func() {
			for _, undo := range slices.Backward(w.cleanup) {
				undo()
			}

			w.net.Close()
		}()

		test(t, w)
	})
}

// addr returns the address of a node without TLS.
func addr(name string) session.Address {
	return session.NewAddress("grpc://" + name + ":1")
}

// addrs returns the addresses of several nodes.
func addrs(names ...string) []mino.Address {
	list := make([]mino.Address, len(names))
	for i, name := range names {
		list[i] = addr(name)
	}

	return list
}

// session returns a session of a node. It dials the others over the network.
func (w *world) session(me mino.Address, opts ...session.Option) session.Session {
	return w.sessionWith(metadata.Pairs("apiuri", "test", "streamid", "1"), me, opts...)
}

// sessionWith is session with other metadata.
func (w *world) sessionWith(md metadata.MD, me mino.Address, opts ...session.Option) session.Session {
	from := session.FollowerOf(me).(session.Address).GetDialAddress()
	mgr := session.NewConnManager(session.WithDialOptions(grpc.WithContextDialer(w.net.Dialer(from))))
	sess := session.NewSession(md, me, fake.MessageFactory{}, routerOf(3).GetPacketFactory(), json.NewContext(), mgr,
		opts...)

	w.cleanup = append(w.cleanup, func() {
		sess.Close()
		<-sess.(session.Lifecycle).Done()

		if mgr.Len() != 0 {
			w.Errorf("%d connections are left", mgr.Len())
		}

		require.NoError(w, mgr.Close())
	})

	return sess
}

// routerOf returns a tree router for trees of a height.
func routerOf(height int) router.Router {
	return tree.NewRouter(session.AddressFactory{}, tree.WithHeight(height))
}

// table returns the table of the root me of a tree of a height.
func (w *world) table(height int, me mino.Address, players ...mino.Address) router.RoutingTable {
	table, err := routerOf(height).New(mino.NewAddresses(players...), me)
	require.NoError(w, err)

	return table
}

// peer runs a node that the test plays.
func (w *world) peer(name string, peer *sessiontest.Peer) {
	listener, err := w.net.Listen(name + ":1")
	require.NoError(w, err)

	w.cleanup = append(w.cleanup, peer.Serve(listener))
}

// root returns a session, and its parent: an orchestrator that the test plays.
func (w *world) root(me mino.Address, table router.RoutingTable, opts ...session.Option) (
	session.Session, *fake.Relay,
) {
	sess := w.session(me, opts...)
	parent := fake.NewRelay(session.NewOrchestratorAddress(addr("orchestrator")), nil)
	w.listen(sess, parent, table)

	return sess, parent
}

// listen registers a parent, whose stream ends with the test. The channel is closed when Listen
// returns.
func (w *world) listen(sess session.Session, parent *fake.Relay, table router.RoutingTable) <-chan struct{} {
	ready, returned := make(chan struct{}), make(chan struct{})

	go func() {
		defer close(returned)

		sess.Listen(parent, table, ready)
	}()

	<-ready

	w.cleanup = append(w.cleanup, func() {
		parent.End(io.EOF)
		<-returned
	})

	return returned
}

// outcomes reads the channel of a Send until it is closed.
func (w *world) outcomes(errs <-chan error) []*session.DeliveryError {
	var all []*session.DeliveryError

	for err := range errs {
		var failure *session.DeliveryError

		require.ErrorAs(w, err, &failure)
		all = append(all, failure)
	}

	return all
}

// recv returns the next message of a session. It fails if there is none.
func (w *world) recv(sess session.Session) (mino.Address, fake.Message) {
	ctx, cancel := context.WithTimeout(w.Context(), time.Second)
	defer cancel()

	from, msg, err := sess.Recv(ctx)
	require.NoError(w, err)

	return from, msg.(fake.Message)
}

// packet returns a packet with the message "hello", as a neighbour sends it.
func (w *world) packet(from mino.Address, to ...mino.Address) *ptypes.Packet {
	p := w.table(3, from).Make(from, to, []byte("hello"))

	data, err := p.Serialize(json.NewContext())
	require.NoError(w, err)

	return &ptypes.Packet{Serialized: data}
}

// reasons maps the destinations of outcomes to their reasons.
func reasons(errs []*session.DeliveryError) map[string]session.Reason {
	byDest := make(map[string]session.Reason)

	for _, err := range errs {
		if err.Destination != nil {
			byDest[err.Destination.String()] = err.Reason
		}
	}

	return byDest
}

// errLost is the cause of the losses that a test makes.
var errLost = errors.New("lost by the test")

// failure returns an error as the outcome that it must be.
func (w *world) failure(err error) *session.DeliveryError {
	var failure *session.DeliveryError

	require.ErrorAs(w, err, &failure)

	return failure
}
