package minogrpc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// oops is what the panics of these tests say.
const oops = "oops"

// panicky is an echo that panics when it is told so.
var panicky = handler{
	process: echo.process,
	stream: func(out mino.Sender, in mino.Receiver) error {
		for {
			from, msg, err := in.Recv(context.Background())
			if err != nil {
				return err
			}

			if msg == text(oops) {
				panic(oops)
			}

			out.Send(msg, from)
		}
	},
}

// Promise S1: where a handler panics inside the tree, its parent is told, others
// take over its children, and the stream goes on without it.
func TestPanic_HandlerInsideTheTreeCostsItsNodeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const players = 31

		var lost atomic.Value

		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		nodes := make([]*minogrpc.Minogrpc, players)
		rpc := mino.MustCreateRPC(startIn(t, network, hostOf(0)), rpcName, panicky, texts{})

		for i := range nodes {
			losses := func(_ session.StreamInfo, peer mino.Address, cause error) {
				if i == 0 && peer.Equal(address(2)) {
					lost.Store(cause)
				}
			}
			nodes[i] = startIn(t, network, hostOf(i+1), minogrpc.WithSessionOptions(
				session.WithObserver(session.Observer{RelayLost: losses})))
			mino.MustCreateRPC(nodes[i], rpcName, panicky, texts{})
		}

		out, in, err := rpc.Stream(withContext(t), playersOf(nodes...))
		require.NoError(t, err)
		requireEchoes(t, out, in, nodes...)

		// The second of the list is the first child of the root.
		// The panic may be quicker than the answer that the message has arrived.
		for err := range out.Send(text(oops), nodes[1].GetAddress()) {
			require.ErrorContains(t, err, "panic: oops")
		}

		synctest.Wait()
		require.ErrorContains(t, lost.Load().(error), "panic: oops")
		require.ErrorContains(t, lost.Load().(error), codes.Internal.String())

		rest := slices.Delete(slices.Clone(nodes), 1, 2)
		requireEchoes(t, out, in, rest...)

		var failure *session.DeliveryError

		require.ErrorAs(t, <-out.Send(text("hello"), address(2)), &failure)
		require.Equal(t, session.ReasonUnreachable, failure.Reason)
	})
}

// panickyRouter panics in one of its methods.
type panickyRouter struct {
	router.Router

	method string
}

func (r panickyRouter) panicIn(method string) {
	if r.method == method {
		panic(oops)
	}
}

func (r panickyRouter) New(players mino.Players, me mino.Address) (router.RoutingTable, error) {
	r.panicIn("New")

	return r.Router.New(players, me)
}

func (r panickyRouter) GenerateTableFrom(hs router.Handshake) (router.RoutingTable, error) {
	r.panicIn("GenerateTableFrom")

	return r.Router.GenerateTableFrom(hs)
}

func (r panickyRouter) GetHandshakeFactory() router.HandshakeFactory {
	r.panicIn("GetHandshakeFactory")

	return r.Router.GetHandshakeFactory()
}

func (r panickyRouter) GetPacketFactory() router.PacketFactory {
	r.panicIn("GetPacketFactory")

	return r.Router.GetPacketFactory()
}

// Promise S1: a router that panics costs the stream, and its opener is told.
func TestPanic_RouterCostsTheStream(t *testing.T) {
	for method, md := range map[string]metadata.MD{
		"New":                 header(),
		"GenerateTableFrom":   header("handshake", leaf),
		"GetHandshakeFactory": header("handshake", leaf),
		"GetPacketFactory":    header(),
	} {
		t.Run(method, func(t *testing.T) {
			r := panickyRouter{tree.NewRouter(minogrpc.NewAddressFactory()), method}

			node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil, r, minogrpc.NoTLS(),
				minogrpc.WithStreamLimits(2, 2))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, node.Stop()) })

			rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
			client := dial(t, node)

			// More often than there may be streams: nothing is left of them.
			for range 5 {
				stream := openStream(t, client, md)
				requireRefused(t, stream, codes.Internal, "panic: oops")
			}

			requireCall(t, rpc, node)

			_, _, err = rpc.Stream(withContext(t), playersOf(node))
			if len(md.Get("handshake")) == 0 {
				require.ErrorContains(t, err, "panic: oops")
			} else {
				require.NoError(t, err)
			}
		})
	}
}

// Promise S1: a factory that panics, and a handler that fails for it, end the
// stream of the root with an error.
func TestPanic_FactoryCostsTheStream(t *testing.T) {
	nodes, _ := startAll(t, 1, echo, transport())
	root := start(t, transport())
	mino.MustCreateRPC(root, rpcName, echo, badFactory{})
	rpc := mino.MustCreateRPC(nodes[0].WithSegment("a"), rpcName, echo, texts{})
	mino.MustCreateRPC(root.WithSegment("a"), rpcName, echo, badFactory{})

	out, in, err := rpc.Stream(withContext(t), playersOf(root))
	require.NoError(t, err)

	// The failure may be quicker than the answer that the message has arrived.
	for err := range out.Send(text("hello"), root.GetAddress()) {
		require.ErrorContains(t, err, "no such message")
	}

	_, _, err = in.Recv(t.Context())
	require.ErrorContains(t, err, "no such message")
	require.ErrorContains(t, err, codes.Internal.String())
}

// Promise S1: a handler that panics costs the call.
func TestPanic_HandlerCostsTheCall(t *testing.T) {
	nodes, _ := startAll(t, 1, handler{process: func(mino.Request) (serde.Message, error) { panic(oops) }},
		minogrpc.NoTLS())

	ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("apiuri", rpcName))
	_, err := dial(t, nodes[0]).Call(ctx, &ptypes.Message{From: []byte(peerText)})
	require.Equal(t, codes.Internal, status.Code(err))
	require.ErrorContains(t, err, "panic: oops")
}

// panickyStore panics once it is told so.
type panickyStore struct {
	certs.Storage

	on *atomic.Bool
}

func (s panickyStore) Load(addr mino.Address) (certs.CertChain, error) {
	if s.on.Load() {
		panic(oops)
	}

	return s.Storage.Load(addr)
}

func (s panickyStore) Store(addr mino.Address, chain certs.CertChain) error {
	if s.on.Load() {
		panic(oops)
	}

	return s.Storage.Store(addr, chain)
}

// Promise S1: a certificate store that panics is an error of whatever needs it,
// also in the handshake, which gRPC does by itself.
func TestPanic_StoreCostsWhatNeedsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := sessiontest.NewNetwork()
		t.Cleanup(network.Close)

		store := panickyStore{certs.NewInMemoryStore(), new(atomic.Bool)}
		node := startIn(t, network, "grpcs://n1:1", minogrpc.WithStorage(store))
		peer := startIn(t, network, "grpcs://n2:1")
		rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})
		mino.MustCreateRPC(peer, rpcName, echo, texts{})
		require.NoError(t, store.Store(peer.GetAddress(), peer.GetCertificateChain()))
		require.NoError(t, peer.GetCertificateStore().Store(node.GetAddress(), node.GetCertificateChain()))
		requireCall(t, rpc, peer)

		// The connection is lost, and the next handshake asks the store.
		store.on.Store(true)
		network.Cut("n1:1", "n2:1")
		synctest.Wait()
		network.Heal("n1:1", "n2:1")
		requireCallFails(t, rpc, peer)
		// The first for this address asks the store before it dials.
		requireCallFails(t, rpc, node)

		_, _, err := rpc.Stream(t.Context(), playersOf(peer))
		require.ErrorContains(t, err, "panic: oops")
	})
}

// requireCallFails checks that the answer is a panic.
func requireCallFails(t *testing.T, rpc mino.RPC, node *minogrpc.Minogrpc) {
	t.Helper()

	responses, err := rpc.Call(t.Context(), text("hello"), playersOf(node))
	require.NoError(t, err)
	_, err = (<-responses).GetMessageOrError()
	require.ErrorContains(t, err, "panic: oops")
}

// panickyKey is a key that panics when it is to sign for the n-th time.
type panickyKey struct {
	crypto.Signer

	left *atomic.Int32
}

func (k panickyKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if k.left.Add(-1) < 0 {
		panic(oops)
	}

	return k.Signer.Sign(random, digest, opts)
}

// Promise S1: a key that panics is an error of the constructor, and of each
// handshake.
func TestPanic_KeyCostsTheHandshake(t *testing.T) {
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	key := panickyKey{signer, new(atomic.Int32)}
	listener := listen(t)

	_, err = minogrpc.NewMinogrpc(nil, nil, tree.NewRouter(minogrpc.NewAddressFactory()),
		minogrpc.WithListener(listener), minogrpc.WithCertificateKey(key, nil))
	require.ErrorContains(t, err, "panic: oops")
	require.Error(t, listener.Close(), "it is closed already")

	key.left.Store(1)
	node := start(t, minogrpc.WithCertificateKey(key, nil))
	rpc := mino.MustCreateRPC(node, rpcName, echo, texts{})

	responses, err := rpc.Call(t.Context(), text("hello"), playersOf(node))
	require.NoError(t, err)
	_, err = (<-responses).GetMessageOrError()
	require.Error(t, err)

	key.left.Store(1)

	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(node.GetAddress().String(), "grpcs://"))
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}
