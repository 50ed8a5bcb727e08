package host

import (
	"log/slog"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/slogged"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
	"github.com/rs/zerolog"
)

const (
	// DefaultMaxPlayers is the number of players of one stream.
	DefaultMaxPlayers = 100_000

	// DefaultMaxFrame is the largest packet on the wire, in bytes: a message of the default size
	// in base64, and room for the addresses around it. A gRPC server and the connections of a
	// host need that limit, too.
	DefaultMaxFrame = (session.DefaultMaxMessage+2)/3*4 + session.DefaultMaxMetadata
)

// Option changes a default of [New].
type Option interface {
	apply(*config)
}

// config is what the options of a host set.
type config struct {
	context     serde.Context
	policy      Policy
	session     []session.Option
	dials       *session.DialLimit
	noDuplex    bool
	maxPlayers  int
	maxMetadata int
	maxFrame    int
	logger      zerolog.Logger
	observer    Observer
}

func newConfig(opts []Option) config {
	c := config{
		context:     json.NewContext(),
		maxPlayers:  DefaultMaxPlayers,
		maxMetadata: session.DefaultMaxMetadata,
		maxFrame:    DefaultMaxFrame,
		logger:      zerolog.Nop(),
	}

	for _, opt := range opts {
		opt.apply(&c)
	}

	return c
}

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// WithContext sets how messages, packets and handshakes are serialized. Without it that is JSON,
// as existing nodes do.
func WithContext(ctx serde.Context) Option {
	return optionFunc(func(c *config) { c.context = ctx })
}

// WithPolicy sets who may open streams, become a parent and send packets. Without it anybody
// may.
func WithPolicy(policy Policy) Option {
	return optionFunc(func(c *config) { c.policy = policy })
}

// WithSessionOptions adds options for the sessions of the host.
func WithSessionOptions(opts ...session.Option) Option {
	return optionFunc(func(c *config) { c.session = append(c.session, opts...) })
}

// WithoutDuplex makes the host talk to the other players as existing nodes do; see
// [session.WithoutDuplex]. The stream between an orchestrator and the root of its tree is not
// concerned.
func WithoutDuplex() Option {
	return optionFunc(func(c *config) {
		c.noDuplex = true
		c.session = append(c.session, session.WithoutDuplex())
	})
}

// WithDialLimit bounds the streams that the host and its sessions open at once. Without it only the
// bound of each session counts.
func WithDialLimit(limit *session.DialLimit) Option {
	return optionFunc(func(c *config) {
		c.dials = limit
		c.session = append(c.session, session.WithDialLimit(limit))
	})
}

// WithMaxPlayers bounds the players of a stream, both of one that this node opens and of one
// whose root it is. The default is [DefaultMaxPlayers]. It must be positive; anything else is
// ignored.
func WithMaxPlayers(n int) Option {
	return optionFunc(func(c *config) { c.maxPlayers = positive(n, c.maxPlayers) })
}

// WithMaxMetadata bounds the metadata of a stream that this node opens, in bytes. The default is
// [session.DefaultMaxMetadata]. It must be positive; anything else is ignored.
func WithMaxMetadata(bytes int) Option {
	return optionFunc(func(c *config) {
		c.maxMetadata = positive(bytes, c.maxMetadata)
		c.session = append(c.session, session.WithMaxMetadata(c.maxMetadata))
	})
}

// WithMaxFrame bounds a packet that this node writes to a stream, in bytes. The default is
// [DefaultMaxFrame]. It must be positive; anything else is ignored. It should be no more than what
// gRPC takes at both ends, because gRPC ends the whole stream for a packet that is too large.
func WithMaxFrame(bytes int) Option {
	return optionFunc(func(c *config) { c.maxFrame = positive(bytes, c.maxFrame) })
}

// WithLogger sets the logger of the host and of its sessions. Without it nothing is logged. Each line says
// which node it is about, and which stream. [WithSessionOptions] may give the sessions a logger of their own.
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

// positive returns the value, or the default when the value makes no sense.
func positive(value, otherwise int) int {
	if value <= 0 {
		return otherwise
	}

	return value
}
