package minogrpc

import (
	"crypto/rand"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/slogged"
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

	// health, reflection and inspection are the services that the node offers beside its own.
	health, reflection, inspection bool

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

// NoTLS makes a node serve without encryption, and without a proof of identity from anybody. Use it in
// tests, and behind something else that does both.
func NoTLS() Option {
	return optionFunc(func(c *config) { c.noTLS = true })
}

// AllowUnauthenticatedPeers lets ANYBODY who can reach the node call it, in any name. It is for a
// network that has existing nodes in it. These present no certificate when they call, so that a node
// cannot tell them from an impostor. On such a node a stranger can do what a member can do, except
// add itself without a token: call procedures, open streams, feed, read and end the streams whose id
// it learns, and introduce certificates of unknown nodes.
//
// The following still holds. If a caller presents a certificate, and the store has one for the
// address that the caller gives, the two must match. Only the operator can replace a certificate in
// the store. The nodes that this node calls must prove their identity. The node then speaks TLS 1.2 as
// well as 1.3.
//
// By default a node with TLS serves only nodes whose certificates are in its store. With [NoTLS] this
// option means nothing: nobody proves anything there. The node logs a warning when it starts.
func AllowUnauthenticatedPeers() Option {
	return optionFunc(func(c *config) { c.open = true })
}

// WithHTTPSPeers names hosts with their ports, such as node.example.org:443, that a node with TLS may
// dial as https:// addresses. The node believes them by the roots of the system, and anybody can get a
// certificate from these. So without this option the node dials only the https:// addresses that the
// operator has put into the store. A node can join through any https:// address. The option may be
// given several times. Without TLS it means nothing: the node dials every address.
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

// WithTokens sets the holder that makes and checks the tokens of [Minogrpc.GenerateToken]. By default,
// and with nil, the node has a [tokens.InMemoryHolder] of its own. Its tokens let in any number of nodes
// until they expire; see [tokens.WithUses] for a bound.
func WithTokens(holder tokens.Holder) Option {
	return optionFunc(func(c *config) { c.tokens = holder })
}

// WithObserver adds an observer that hears what the node refuses and learns. Several observers are told in
// the order of the options. Streams have an observer of their own: see [WithSessionOptions].
func WithObserver(observer Observer) Option {
	return optionFunc(func(c *config) { c.observer = c.observer.join(observer) })
}

// WithoutDuplex makes the node talk to the other players as existing nodes do: each packet is a call,
// and there are no heartbeats. Use it to compare, and when in doubt. It does not change the stream
// between an orchestrator and the root of its tree.
func WithoutDuplex() Option {
	return optionFunc(func(c *config) { c.noDuplex = true })
}

// WithCert sets the certificate that the node presents, with its key. By default, and with nil, the
// node makes a certificate for the host of its public address, and signs it itself.
func WithCert(cert *tls.Certificate) Option {
	return optionFunc(func(c *config) { c.given = cert })
}

// WithCertificateKey sets the key of the certificate that the node makes. The secret must be a
// crypto.Signer. The public half must belong to it, or be nil. By default, and with a nil secret, the
// node makes a P-256 key.
//
// A node's identity is its key: with the same key it is the same node after a restart. If the store
// then holds a certificate for the address with this key, and that is valid for 180 more days, the node
// keeps that certificate, and its digest does not change.
func WithCertificateKey(secret, public any) Option {
	return optionFunc(func(c *config) { c.secret, c.public = secret, public })
}

// WithRandom sets the source of randomness for the certificate that the node makes, as far as the
// standard library takes one: it has its own for keys. The ids of streams always come from
// crypto/rand. Nil is ignored.
func WithRandom(r io.Reader) Option {
	return optionFunc(func(c *config) {
		if r != nil {
			c.random = r
		}
	})
}

// WithStorage sets the store of certificates. The node keeps its own certificate there too. By default,
// and with nil, it is a new store in memory.
func WithStorage(certs certs.Storage) Option {
	return optionFunc(func(c *config) { c.store = certs })
}

// WithLogger sets the logger of the node and of its sessions. By default the node logs nothing. Each line has
// the node as a field, and each line about a stream or a call the fields rpc, stream and protocol as far as
// there are any. [WithSessionOptions] may give the sessions a logger of their own.
func WithLogger(logger zerolog.Logger) Option {
	return optionFunc(func(c *config) { c.logger = logger })
}

// WithSlog is WithLogger for a logger of log/slog. The levels are the same, and the fields are attributes. The
// last of both options counts. A nil logger is ignored.
func WithSlog(logger *slog.Logger) Option {
	return optionFunc(func(c *config) {
		if logger != nil {
			c.logger = slogged.New(logger)
		}
	})
}

// WithSessionOptions adds options for the sessions of the node. For the limits of messages, metadata
// and memory use the options of this package, which keep the node's own limits in step.
func WithSessionOptions(opts ...session.Option) Option {
	return optionFunc(func(c *config) { c.session = append(c.session, opts...) })
}

// WithListener makes the node serve on a listener instead of opening a port. The listener belongs to
// the node from then on: the node closes it, also if [NewMinogrpc] fails. With [WithDialOptions] it
// lets a node run on a network in memory. The node contains a panic in the listener, and not one in a
// connection that the listener returns: gRPC calls that in goroutines of its own.
func WithListener(listener net.Listener) Option {
	return optionFunc(func(c *config) { c.listener = listener })
}

// WithDialOptions adds options for the connections to other nodes. gRPC calls what they bring along,
// such as a dialer, in goroutines of its own, where the node cannot contain a panic.
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

// WithIdleTimeout sets how long the node keeps a connection that nobody uses any more. The default is
// [DefaultIdleTimeout]. With zero or less the node closes it at once.
func WithIdleTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) { c.idle = d })
}
