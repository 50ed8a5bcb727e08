package minogrpc

import (
	"crypto/rand"
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/minogrpc/tokens"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
)

// DefaultIdleTimeout is how long a connection that nobody uses any more is kept
// for the next one.
const DefaultIdleTimeout = 30 * time.Second

// Option changes a default of [NewMinogrpc].
type Option interface {
	apply(*config)
}

// config is what the options of a node set.
type config struct {
	limits

	// httpsPeers has the key of each https address that may be dialled; see checkPublic.
	httpsPeers map[string]struct{}

	noTLS    bool
	open     bool
	noDuplex bool

	// health and reflection are the services that the node offers beside its own.
	health, reflection bool

	given    *tls.Certificate
	secret   any
	public   any
	random   io.Reader
	store    certs.Storage
	tokens   tokens.Holder
	logger   zerolog.Logger
	observer Observer

	authorizer Authorizer
	trust      TrustPolicy
	certSource func() (*tls.Certificate, error)

	listener net.Listener
	idle     time.Duration
	liveness time.Duration
	dial     []grpc.DialOption
	serving  []grpc.ServerOption
	session  []session.Option
}

func newConfig(opts []Option) config {
	c := config{
		limits:   newLimits(),
		random:   rand.Reader,
		logger:   zerolog.Nop(),
		idle:     DefaultIdleTimeout,
		liveness: DefaultLiveness,
	}

	for _, opt := range opts {
		opt.apply(&c)
	}

	if c.store == nil {
		c.store = certs.NewInMemoryStore()
	}

	if c.tokens == nil {
		c.tokens = tokens.NewInMemoryHolder()
	}

	return c
}

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// NoTLS makes a node serve without encryption, and without a proof of who anybody is:
// for tests, and behind something else that does both.
func NoTLS() Option {
	return optionFunc(func(c *config) { c.noTLS = true })
}

// AllowUnauthenticatedPeers lets ANYBODY who can reach the node call it, as whomever it
// says it is. It is for a network that has nodes of the existing implementation in it:
// these present no certificate when they call, so that nothing tells them from an
// impostor. On such a node a stranger can do what a node of the network can do, beside
// adding itself without a token: call the procedures, open streams, feed and read
// and end those whose id it learns, and tell of the certificates of nodes that are not known yet.
//
// What stays is this: a certificate that a caller does present must be the one that the store
// holds for the address that it gives, if there is one; a certificate in the store is
// replaced by nobody but the operator; and the nodes that this one calls still have to
// prove who they are. The node then speaks TLS 1.2 as well as 1.3.
//
// Without this option, which is the default, a node with TLS serves nobody but those
// whose certificate is in its store. With [NoTLS] it means nothing: nobody proves
// anything there. The node logs a warning when it starts.
func AllowUnauthenticatedPeers() Option {
	return optionFunc(func(c *config) { c.open = true })
}

// WithHTTPSPeers names hosts with their ports, such as node.example.org:443, which a node with TLS
// may dial as https:// addresses. It believes them by the roots of the system, who vouch for anybody,
// so that without this option it dials only those that the operator has put into the store. A node
// can join through any https address. It may be given several times. Without TLS it means nothing:
// the node dials whatever it is told to.
func WithHTTPSPeers(hostports ...string) Option {
	return optionFunc(func(c *config) {
		if c.httpsPeers == nil {
			c.httpsPeers = make(map[string]struct{})
		}

		for _, hostport := range hostports {
			c.httpsPeers[spelling.Key(hostport)] = struct{}{}
		}
	})
}

// WithTokens sets what makes and checks the tokens of [Minogrpc.GenerateToken]. Without
// it, or with nil, it is a [tokens.InMemoryHolder] of its own, whose tokens let in any
// number of nodes until they expire; see [tokens.WithUses] for a bound.
func WithTokens(holder tokens.Holder) Option {
	return optionFunc(func(c *config) { c.tokens = holder })
}

// WithObserver sets who is told what the node refuses and learns. The streams have an
// observer of their own: see [WithSessionOptions].
func WithObserver(observer Observer) Option {
	return optionFunc(func(c *config) { c.observer = observer })
}

// WithoutDuplex makes the node talk to the other players as nodes of other
// implementations do: each packet is a call, and there are no heartbeats. It is there
// for comparison and doubt. The stream between an orchestrator and the root of its tree
// is not concerned.
func WithoutDuplex() Option {
	return optionFunc(func(c *config) { c.noDuplex = true })
}

// WithCert sets the certificate, with its key, that the node presents. Without it,
// or with nil, the node makes one for the host of its public address and signs it
// itself.
func WithCert(cert *tls.Certificate) Option {
	return optionFunc(func(c *config) { c.given = cert })
}

// WithCertificateKey sets the key of the certificate that the node makes. The
// secret must be a crypto.Signer; the public half must belong to it, or be nil.
// Without this option, or with a nil secret, the node makes a P-256 key.
//
// The key is who the node is: with the same one it is the same node after a restart. If
// the store then holds a certificate for the address with this key that is valid for 180 days
// more, the node goes on with it, and its digest stays what it was.
func WithCertificateKey(secret, public any) Option {
	return optionFunc(func(c *config) { c.secret, c.public = secret, public })
}

// WithRandom sets where the randomness of the certificate that the node makes
// comes from, as far as the standard library lets one choose: it has its own for
// keys. The ids of streams always come from crypto/rand. Nil is ignored.
func WithRandom(r io.Reader) Option {
	return optionFunc(func(c *config) {
		if r != nil {
			c.random = r
		}
	})
}

// WithStorage sets the store of the certificates, in which the node also keeps its
// own. Without it, or with nil, it is a new one in memory.
func WithStorage(certs certs.Storage) Option {
	return optionFunc(func(c *config) { c.store = certs })
}

// WithLogger sets the logger of the node. Without it nothing is logged. The
// sessions have their own: see [WithSessionOptions].
func WithLogger(logger zerolog.Logger) Option {
	return optionFunc(func(c *config) { c.logger = logger })
}

// WithSessionOptions adds options for the sessions of the node. The limits of
// messages, metadata and memory have options here that go with them.
func WithSessionOptions(opts ...session.Option) Option {
	return optionFunc(func(c *config) { c.session = append(c.session, opts...) })
}

// WithListener makes the node serve on a listener instead of opening a port. The
// listener belongs to the node from then on, and is closed even if [NewMinogrpc]
// fails. With [WithDialOptions] it lets a node run on a network in memory. A panic in the
// listener is contained. One in a connection that it returns is not: gRPC calls that in
// goroutines of its own.
func WithListener(listener net.Listener) Option {
	return optionFunc(func(c *config) { c.listener = listener })
}

// WithDialOptions adds options for the connections to other nodes. gRPC calls what they
// bring along, such as a dialer, in goroutines of its own, where a panic is not contained.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return optionFunc(func(c *config) { c.dial = append(c.dial, opts...) })
}

// WithServerOptions adds options for the gRPC server of the node, such as grpc.StatsHandler and
// grpc.ChainUnaryInterceptor. It may be given several times.
//
// The node sets some options itself, so these have no effect: credentials, codec, sizes of messages
// and of the list of headers, number of streams, windows, keepalive parameters, connection timeout,
// wait for handlers, and with TLS also the size of the read buffer. Three others can be set only once,
// and [NewMinogrpc] returns an error for them: grpc.InTapHandle, grpc.UnaryInterceptor and
// grpc.StreamInterceptor. Give an interceptor in a chain. NewMinogrpc also returns an error for an
// option that panics.
//
// Interceptors run inside that of the node, which contains a panic of theirs. They run BEFORE the node
// checks who calls: a stranger reaches them, and what they learn from its metadata or its message is
// only a claim. Use [WithAuthorizer] to decide on callers. An interceptor that wraps a stream has to
// pass its context on, with the values that it holds. gRPC calls stats handlers in goroutines of its
// own, where a panic is not contained, and tells them about the connections and the calls of strangers.
// A grpc.UnknownServiceHandler serves strangers, and nobody refuses compressed messages for it.
func WithServerOptions(opts ...grpc.ServerOption) Option {
	return optionFunc(func(c *config) { c.serving = append(c.serving, opts...) })
}

// WithIdleTimeout sets how long a connection that nobody uses any more is kept.
// The default is [DefaultIdleTimeout]; zero or less closes it at once.
func WithIdleTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) { c.idle = d })
}
