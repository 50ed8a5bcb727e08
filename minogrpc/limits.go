package minogrpc

import (
	"fmt"
	"math"

	"github.com/minogrpc/session"
)

// Defaults of the limits. Who passes one is told so with the status
// ResourceExhausted, and nobody else notices. Streams that go on with broken links may
// take as much again, until the broken ones have ended.
const (
	// DefaultPeerStreams is the number of streams that one peer may be a parent in at
	// once. A peer is a gateway address at a remote host.
	DefaultPeerStreams = 1_000

	// DefaultHostStreams is the same for all the gateways at one remote host, as which
	// somebody may pretend to be many. It is also the number of its connections. All the
	// hosts together may have four times as many connections.
	DefaultHostStreams = 10_000

	// DefaultPending is the number of connections and streams of one remote host that
	// are not set up yet.
	DefaultPending = 1_000

	// DefaultMaxPlayers is the number of players of one stream.
	DefaultMaxPlayers = 100_000

	// DefaultMaxMetadata is the size of the metadata of one call, in bytes, as HTTP/2
	// counts it: 32 more than its key and its value for each entry. The metadata of
	// all the streams of one remote host may take 16 times as much.
	DefaultMaxMetadata = session.DefaultMaxMetadata

	// DefaultMaxMessage is the size of one serialized message, in bytes.
	DefaultMaxMessage = session.DefaultMaxMessage

	// DefaultMemory is what the sessions of a node may hold, in bytes.
	DefaultMemory = 1 << 30

	// DefaultHandshakeLimit is how many handshakes of one remote host may fail in a
	// minute. A node that dials one whose certificate it does not believe makes some
	// 60 of them.
	DefaultHandshakeLimit = 100

	// DefaultTokenLimit is how many wrong tokens one remote host may present in a
	// minute, and DefaultTokenLimitOverall all of them together. The latter is high: nobody
	// guesses 128 bits, and at the limit honest nodes cannot join either.
	DefaultTokenLimit        = 10
	DefaultTokenLimitOverall = 100_000

	// DefaultIntroductionLimit is how many certificates one remote host may bring in a
	// minute, by Join or by Share. A member shares each node that joins at it.
	DefaultIntroductionLimit = 1_000

	// DefaultMaxPeers is the number of certificates in the store up to which others may
	// add to it, by Join or by Share.
	DefaultMaxPeers = 100_000
)

const (
	// hostMetadata is how many times the metadata of one call those of all the
	// streams of a host may take.
	hostMetadata = 16

	// grpcHeaders is the room in the list of headers for those of gRPC itself.
	grpcHeaders = 4 << 10

	// maxCallsPerConn is how many calls of a connection are served at once beside its
	// streams, which must not keep them out.
	maxCallsPerConn = 4096

	// maxCertificates is how many certificates a caller may present.
	maxCertificates = 8
)

// limits are what the options bound.
type limits struct {
	peerStreams int
	hostStreams int
	pending     int
	maxPlayers  int
	maxMetadata int
	maxMessage  int
	memory      int
	// peerShare is what one peer may have of the memory. Zero is a quarter.
	peerShare int
	maxPeers  int

	// These are per minute, see rates.
	handshakeFailures int
	wrongTokens       int
	allWrongTokens    int
	introductions     int
}

func newLimits() limits {
	return limits{
		peerStreams: DefaultPeerStreams,
		hostStreams: DefaultHostStreams,
		pending:     DefaultPending,
		maxPlayers:  DefaultMaxPlayers,
		maxMetadata: DefaultMaxMetadata,
		maxMessage:  DefaultMaxMessage,
		memory:      DefaultMemory,
		maxPeers:    DefaultMaxPeers,

		handshakeFailures: DefaultHandshakeLimit,
		wrongTokens:       DefaultTokenLimit,
		allWrongTokens:    DefaultTokenLimitOverall,
		introductions:     DefaultIntroductionLimit,
	}
}

// WithStreamLimits bounds the streams in which others are parents of this node at
// once: those of one gateway address at a remote host, and those of the host, which
// may have as many connections. The defaults are [DefaultPeerStreams] and
// [DefaultHostStreams]. Both must be positive; anything else is ignored.
func WithStreamLimits(perPeer, perHost int) Option {
	return optionFunc(func(c *config) {
		c.peerStreams = positive(perPeer, c.peerStreams)
		c.hostStreams = positive(perHost, c.hostStreams)
	})
}

// WithPendingLimit bounds the connections and the streams of one remote host that
// are not set up yet. The default is [DefaultPending]. It must be positive;
// anything else is ignored.
func WithPendingLimit(n int) Option {
	return optionFunc(func(c *config) { c.pending = positive(n, c.pending) })
}

// WithMaxPlayers bounds the players of a stream, both of one that this node opens
// and of one whose root it is. The default is [DefaultMaxPlayers]. It must be
// positive; anything else is ignored. Routers have a limit of their own.
func WithMaxPlayers(n int) Option {
	return optionFunc(func(c *config) { c.maxPlayers = positive(n, c.maxPlayers) })
}

// WithMaxMetadata bounds the metadata of a call, in bytes. The default is
// [DefaultMaxMetadata]. It must be positive; anything else is ignored. What would
// pass the limit is refused where it is sent, so that all the nodes should have
// the same.
func WithMaxMetadata(bytes int) Option {
	return optionFunc(func(c *config) { c.maxMetadata = positive(bytes, c.maxMetadata) })
}

// WithMaxMessageSize bounds a serialized message, in bytes, of streams and of
// calls. The default is [DefaultMaxMessage]. It must be positive; anything else is
// ignored. A larger one is refused where it is sent and where it arrives.
//
// Other bounds hold beside it. An outbox and a queue that are empty take any message within this
// limit. What already waits there counts against [session.WithOutboxLimits] and
// [session.WithQueueLimits], in bytes. A message also counts against the share of its peer
// ([WithPeerShare]) and the memory of the node ([WithMemory]) at each node that it passes. So a node
// whose message limit is above the share of a peer does not start.
func WithMaxMessageSize(bytes int) Option {
	return optionFunc(func(c *config) { c.maxMessage = positive(bytes, c.maxMessage) })
}

// WithMemory bounds what all the sessions of the node hold for their readers and
// their neighbours, in bytes. The default is [DefaultMemory]. It must be positive;
// anything else is ignored. Past it the sender of a message is told
// [session.ReasonOverflow].
func WithMemory(bytes int) Option {
	return optionFunc(func(c *config) { c.memory = positive(bytes, c.memory) })
}

// WithPeerShare bounds what one peer may have of the memory of the node, in bytes: what it has sent
// and nobody has read or passed on yet, and what waits for it. The default is a quarter of that of
// [WithMemory]. It must be positive; anything else is ignored. It may not be less than the largest
// message: see [WithMaxMessageSize]. Past it the sender of a message is told
// [session.ReasonOverflow].
func WithPeerShare(bytes int) Option {
	return optionFunc(func(c *config) { c.peerShare = positive(bytes, c.peerShare) })
}

// WithHandshakeLimit bounds the handshakes of one remote host that may fail in a
// minute. The default is [DefaultHandshakeLimit]. It must be positive; anything else
// is ignored. Past it the connections of the host are closed as soon as they come,
// until a minute has paid for the failures again; those that it has already stay.
func WithHandshakeLimit(failuresPerMinute int) Option {
	return optionFunc(func(c *config) { c.handshakeFailures = positive(failuresPerMinute, c.handshakeFailures) })
}

// WithTokenLimit bounds the wrong tokens that one remote host may present in a
// minute, and all of them together. The defaults are [DefaultTokenLimit] and
// [DefaultTokenLimitOverall]. Both must be positive; anything else is ignored. Past
// one of them no token of that host, or of any, is looked at until there has been
// time enough. Right tokens do not count.
func WithTokenLimit(perMinute, overall int) Option {
	return optionFunc(func(c *config) {
		c.wrongTokens = positive(perMinute, c.wrongTokens)
		c.allWrongTokens = positive(overall, c.allWrongTokens)
	})
}

// WithIntroductionLimit bounds the certificates that one remote host may bring in a
// minute, by Join or by Share. The default is [DefaultIntroductionLimit]. It must be
// positive; anything else is ignored.
func WithIntroductionLimit(perMinute int) Option {
	return optionFunc(func(c *config) { c.introductions = positive(perMinute, c.introductions) })
}

// WithMaxPeers sets how many certificates there may be in the store, that of the node
// included, for others to add one, by Join or by Share. The default is [DefaultMaxPeers].
// It must be positive; anything else is ignored. What an operator stores does not ask for
// room, and takes some.
func WithMaxPeers(n int) Option {
	return optionFunc(func(c *config) { c.maxPeers = positive(n, c.maxPeers) })
}

// maxFrame returns the largest packet on the wire: a message in base64, or a frame of a
// duplex link, and room for the addresses around it.
func (l *limits) maxFrame() int {
	// Limits that are none to speak of must not overflow, least of all on 32 bits.
	metadata := min(l.maxMetadata, math.MaxInt/2)
	message := min(l.maxMessage, (math.MaxInt-metadata)/4*3-2)

	return max((message+2)/3*4, session.MaxFrame) + metadata
}

// maxHeaderList returns the largest list of headers on the wire.
func (l *limits) maxHeaderList() uint32 {
	return uint32(min(uint64(l.maxMetadata)+grpcHeaders, math.MaxUint32))
}

// peerPart returns what one peer may have of the memory, in bytes.
func (l *limits) peerPart() int {
	return positive(l.peerShare, l.memory/4)
}

// budget returns the memory of the node. It returns an error when a peer could not have a message
// of the largest size in it.
func (l *limits) budget() (*session.MemoryBudget, error) {
	share := l.peerPart()
	if l.maxMessage > share {
		return nil, fmt.Errorf("a message may have %d bytes, and a peer only %d of the memory of %d: "+
			"see WithMaxMessageSize, WithPeerShare and WithMemory", l.maxMessage, share, l.memory)
	}

	return session.NewMemoryBudgetWithShare(l.memory, share), nil
}

// sessionOptions returns the options that keep the sessions within the limits.
func (l *limits) sessionOptions(budget *session.MemoryBudget) []session.Option {
	return []session.Option{
		session.WithMaxMessageSize(l.maxMessage),
		session.WithMemoryBudget(budget),
	}
}

// positive returns the value, or the default when the value makes no sense.
func positive(value, otherwise int) int {
	if value <= 0 {
		return otherwise
	}

	return value
}

// times returns that many times a limit, which may be none to speak of.
func times(limit, n int) int {
	return min(limit, math.MaxInt/n) * n
}
