package minogrpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// The nodes of a siege. The tree is root(a b c d inner(leaf)). Mallory is a node that all
// know, and that takes no part.
const (
	orchestrator = "orchestrator"
	rootNode     = "root"
	innerNode    = "inner"
	leafNode     = "leaf"
	traitorNode  = "d"
	mallory      = "mallory"
)

// sieged are the players, in the order in which the tree grows.
var sieged = []string{rootNode, "a", "b", "c", traitorNode, innerNode, leafNode}

// siege is a stream among nodes that prove who they are, with which somebody interferes.
// It lives in a bubble, on a network in memory.
type siege struct {
	network *sessiontest.Network
	// certs are those of all the nodes, and nodes those that run.
	certs map[string]*tls.Certificate
	nodes map[string]*minogrpc.Minogrpc
	rpcs  map[string]mino.RPC
	opts  []minogrpc.Option

	out mino.Sender
	// asked are the messages to all the players so far.
	asked []text

	mu sync.Mutex
	// heard is what the handlers have received, by node, answers what has come back, and
	// life which handlers have begun and ended.
	heard, answers map[string][]text
	life           []string
	// refusals and packets are what the observers were told, by node, and opened are the
	// metadata of the stream to each node.
	refusals map[string][]minogrpc.Refusal
	packets  map[string][]error
	opened   map[string]metadata.MD
}

// newSiege returns a stream in which all the players have been asked once. One of them is
// played by the traitor, unless that is nil. The options are those of all the nodes.
func newSiege(t *testing.T, traitor *sessiontest.Peer, opts ...minogrpc.Option) *siege {
	t.Helper()

	s := &siege{
		network:  sessiontest.NewNetwork(),
		certs:    make(map[string]*tls.Certificate),
		nodes:    make(map[string]*minogrpc.Minogrpc),
		rpcs:     make(map[string]mino.RPC),
		opts:     opts,
		heard:    make(map[string][]text),
		answers:  make(map[string][]text),
		refusals: make(map[string][]minogrpc.Refusal),
		packets:  make(map[string][]error),
		opened:   make(map[string]metadata.MD),
	}
	t.Cleanup(s.network.Close)

	for _, name := range append([]string{orchestrator, mallory}, sieged...) {
		s.certs[name] = newCertificate(t, name)
	}

	if traitor != nil {
		s.serve(t, traitor)
	}

	for _, name := range append([]string{orchestrator}, sieged...) {
		if traitor == nil || name != traitorNode {
			s.start(t, name)
		}
	}

	out, in, err := s.rpcs[orchestrator].Stream(withContext(t), mino.NewAddresses(addressesAt(sieged...)...))
	require.NoError(t, err)

	s.out = out
	go s.collect(in)

	if traitor != nil {
		requireDelivered(t, out.Send(text("hello"), addressAt(traitorNode)))
	}

	s.round(t)

	for name, parent := range parents {
		require.Equal(t, []string{textAt(parent)}, s.opened[name].Get("gateway"), "the tree has not grown so")
	}

	return s
}

// players returns the players that run.
func (s *siege) players() []string {
	return slices.DeleteFunc(slices.Clone(sieged), func(name string) bool { return s.nodes[name] == nil })
}

// start runs a node that knows all the others.
func (s *siege) start(t *testing.T, name string) {
	t.Helper()

	store := certs.NewInMemoryStore()
	for peer, cert := range s.certs {
		require.NoError(t, store.Store(addressAt(peer), chainOf(cert)))
	}

	nodes := minogrpc.Observer{Refused: func(r minogrpc.Refusal) {
		s.note(func() { s.refusals[name] = append(s.refusals[name], r) })
	}}
	sessions := session.Observer{PacketRefused: func(_ session.StreamInfo, _ mino.Address, err error) {
		s.note(func() { s.packets[name] = append(s.packets[name], err) })
	}}

	opts := append([]minogrpc.Option{
		minogrpc.WithCert(s.certs[name]),
		minogrpc.WithStorage(store),
		minogrpc.WithObserver(nodes),
		minogrpc.WithSessionOptions(session.WithObserver(sessions)),
		minogrpc.WithDialOptions(grpc.WithChainStreamInterceptor(s.eavesdrop)),
	}, s.opts...)

	node := newRouted(t, s.network, "grpcs://"+name+":1",
		tree.NewRouter(minogrpc.NewAddressFactory(), tree.WithHeight(2)), opts...)
	t.Cleanup(func() { require.NoError(t, node.Stop()) })

	s.nodes[name] = node
	s.rpcs[name] = mino.MustCreateRPC(node, rpcName, s.handler(name), texts{})
}

func (s *siege) note(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()

	fn()
}

// eavesdrop learns the metadata of the streams.
func (s *siege) eavesdrop(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
	streamer grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	md, _ := metadata.FromOutgoingContext(ctx)
	name, _, _ := strings.Cut(strings.TrimPrefix(cc.Target(), "passthrough:///"), ":")
	s.note(func() { s.opened[name] = md.Copy() })

	return streamer(ctx, desc, cc, method, opts...)
}

// serve plays the traitor, who proves who he is as all the others do.
func (s *siege) serve(t *testing.T, traitor *sessiontest.Peer) {
	t.Helper()

	listener, err := s.network.Listen(traitorNode + ":1")
	require.NoError(t, err)
	t.Cleanup(traitor.Serve(listener, grpc.Creds(credentials.NewServerTLSFromCert(s.certs[traitorNode]))))
}

// client returns a hand-made client of a node, which presents a certificate unless that
// is nil.
func (s *siege) client(t *testing.T, name string, cert *tls.Certificate) ptypes.OverlayClient {
	t.Helper()

	return s.clientWith(t, name, presenting(cert))
}

// presenting returns the configuration of a client that presents a certificate, unless that is nil.
func presenting(cert *tls.Certificate) *tls.Config {
	config := &tls.Config{InsecureSkipVerify: true}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}

	return config
}

// clientWith is client for any configuration. Nil is for a client without TLS.
func (s *siege) clientWith(t *testing.T, name string, config *tls.Config) ptypes.OverlayClient {
	t.Helper()

	conn := s.connect(t, name, config)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })

	return ptypes.NewOverlayClient(conn)
}

// connect is clientWith for a test that closes the connection itself.
func (s *siege) connect(t *testing.T, name string, config *tls.Config) *grpc.ClientConn {
	t.Helper()

	creds := insecure.NewCredentials()
	if config != nil {
		creds = credentials.NewTLS(config)
	}

	conn, err := grpc.NewClient("passthrough:///"+name+":1",
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(s.network.Dialer(attacker)))
	require.NoError(t, err)

	return conn
}

// addressAt returns the address of a node of a siege.
func addressAt(name string) session.Address {
	return session.NewAddress("grpcs://" + name + ":1")
}

func addressesAt(names ...string) []mino.Address {
	addrs := make([]mino.Address, len(names))
	for i, name := range names {
		addrs[i] = addressAt(name)
	}

	return addrs
}

// textAt returns the text of the address of a node of a siege.
func textAt(name string) string {
	return textsOf(addressAt(name))[0]
}

// nameOf returns the name of the node at an address.
func nameOf(addr mino.Address) string {
	name, _ := session.FollowerOf(addr).(session.Address).GetHostname()

	return name
}

// lifetime is how long the certificates of a siege are valid.
const lifetime = time.Hour

// newCertificate returns a certificate for a host, with a new key that it is signed by.
func newCertificate(t *testing.T, host string) *tls.Certificate {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	template := &x509.Certificate{
		NotBefore: time.Now(),
		NotAfter:  time.Now().Add(lifetime),
		DNSNames:  []string{host},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)

	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// chainOf returns the chain of a certificate as it is stored.
func chainOf(cert *tls.Certificate) certs.CertChain {
	return certs.CertChain(cert.Certificate[0])
}
