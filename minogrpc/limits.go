package minogrpc

import (
	"fmt"
	"math"

	"github.com/minogrpc/session"
)

// Defaults of the limits. A caller that goes above a limit gets the status ResourceExhausted, and
// nobody else notices. A stream that resumes a broken link counts beside the broken one until that
// has ended: such streams have as much room again.
const (
	// DefaultPeerStreams is the number of streams in which one peer may be a parent at once. A peer
	// is a gateway address at a remote host.
	DefaultPeerStreams = 1_000

	// DefaultHostStreams is the number of streams of all the gateways at one remote host: a host may
	// pretend to be many gateways. It is also the number of connections of the host. All hosts
	// together may have four times as many connections.
	DefaultHostStreams = 10_000

	// DefaultPending is the number of connections and streams of one remote host, together, that are
	// not set up yet.
	DefaultPending = 1_000

	// DefaultMaxPlayers is the number of players of one stream.
	DefaultMaxPlayers = 100_000

	// DefaultMaxMetadata is the size of the metadata of one call, in bytes. An entry counts as HTTP/2
	// counts it: its key, its value and 32 bytes. The metadata of all the streams of one remote host
	// may take 16 times as much.
	DefaultMaxMetadata = session.DefaultMaxMetadata

	// DefaultMaxMessage is the size of one serialized message, in bytes.
	DefaultMaxMessage = session.DefaultMaxMessage

	// DefaultMemory is how much the sessions of a node may hold together, in bytes.
	DefaultMemory = 1 << 30

	// DefaultHandshakeLimit is how many handshakes of one remote host may fail in a minute.
	DefaultHandshakeLimit = 100

	// DefaultTokenLimit is how many wrong tokens one remote host may present in a minute, and
	// DefaultTokenLimitOverall how many all hosts may present together. The second one is high,
	// because at this limit honest nodes cannot join either, and nobody guesses 128 bits.
	DefaultTokenLimit        = 10
	DefaultTokenLimitOverall = 100_000

	// DefaultIntroductionLimit is how many certificates one remote host may bring in a minute, by
	// Join or by Share. A member shares each node that joins through it.
	DefaultIntroductionLimit = 1_000

	// DefaultMaxPeers is the number of certificates in the store up to which other nodes may add to
	// it, by Join or by Share.
	DefaultMaxPeers = 100_000
)

const (
	// hostMetadata is how many times the metadata of one call the streams of a host may take.
	hostMetadata = 16

	// grpcHeaders is the room in a list of headers for the headers of gRPC itself, in bytes.
	grpcHeaders = 4 << 10

	// maxCallsPerConn is how many calls of a connection the node serves at once beside its streams:
	// streams must not keep calls out.
	maxCallsPerConn = 4096

	// maxCertificates is how many certificates a caller may present.
	maxCertificates = 8
)

// limits has the bounds that the options set.
type limits struct {
	peerStreams int
	hostStreams int
	pending     int
	maxPlayers  int
	maxMetadata int
	maxMessage  int
	memory      int
	// peerShare is how much of the memory one peer may have, in bytes. Zero is a quarter.
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

// WithStreamLimits bounds the number of streams in which other nodes are parents of this one at once.
// perPeer is for one gateway address at a remote host, and perHost for the whole host. perHost also
// bounds the connections of the host; all hosts together may have four times as many. The defaults are
// [DefaultPeerStreams] and [DefaultHostStreams]. A number that is not positive is ignored.
func WithStreamLimits(perPeer, perHost int) Option {
	return optionFunc(func(c *config) {
		c.peerStreams = positive(perPeer, c.peerStreams)
		c.hostStreams = positive(perHost, c.hostStreams)
	})
}

// WithPendingLimit bounds the number of connections and streams of one remote host, together, that are
// not set up yet. The default is [DefaultPending]. A number that is not positive is ignored.
func WithPendingLimit(n int) Option {
	return optionFunc(func(c *config) { c.pending = positive(n, c.pending) })
}

// WithMaxPlayers bounds the number of players of a stream: of one that this node opens, of one whose
// root it is, and, if the router can check it, of the part that a parent gives it. The default is
// [DefaultMaxPlayers]. A number that is not positive is ignored. Routers have a limit of their own.
func WithMaxPlayers(n int) Option {
	return optionFunc(func(c *config) { c.maxPlayers = positive(n, c.maxPlayers) })
}

// WithMaxMetadata bounds the metadata of a call, in bytes. The default is [DefaultMaxMetadata]. A number
// that is not positive is ignored. A node does not send more than its own limit, so all nodes should
// have the same one.
func WithMaxMetadata(bytes int) Option {
	return optionFunc(func(c *config) { c.maxMetadata = positive(bytes, c.maxMetadata) })
}

// WithMaxMessageSize bounds a serialized message of streams and of calls, in bytes. The default is
// [DefaultMaxMessage]. A number that is not positive is ignored. The sender refuses a larger message,
// and so does the receiver.
//
// Other bounds hold beside it. An empty outbox and an empty queue take any message within this limit.
// Messages that already wait there count against [session.WithOutboxLimits] and
// [session.WithQueueLimits]. At each node that it passes, a message also counts against the share of
// its peer ([WithPeerShare]) and the memory of the node ([WithMemory]). So [NewMinogrpc] returns an
// error if the message limit is above the share of a peer.
func WithMaxMessageSize(bytes int) Option {
	return optionFunc(func(c *config) { c.maxMessage = positive(bytes, c.maxMessage) })
}

// WithMemory bounds how much all the sessions of the node hold for their readers and their neighbours,
// in bytes. The default is [DefaultMemory]. A number that is not positive is ignored. When the memory
// is full, the sender of a message gets [session.ReasonOverflow].
func WithMemory(bytes int) Option {
	return optionFunc(func(c *config) { c.memory = positive(bytes, c.memory) })
}

// WithPeerShare bounds how much of the memory of the node one peer may have, in bytes. What the peer has
// sent counts until it is read or passed on, and what waits for the peer counts too. The default is a
// quarter of the memory of [WithMemory]. A number that is not positive is ignored. It must not be less
// than the largest message: see [WithMaxMessageSize]. When the share is full, the sender of a message
// gets [session.ReasonOverflow].
func WithPeerShare(bytes int) Option {
	return optionFunc(func(c *config) { c.peerShare = positive(bytes, c.peerShare) })
}

// WithHandshakeLimit bounds how many handshakes of one remote host may fail in a minute. The default is
// [DefaultHandshakeLimit]. A number that is not positive is ignored. Above the limit the node closes
// new connections of the host at once, and each failure costs the host its part of a minute. Existing
// connections of the host stay.
func WithHandshakeLimit(failuresPerMinute int) Option {
	return optionFunc(func(c *config) { c.handshakeFailures = positive(failuresPerMinute, c.handshakeFailures) })
}

// WithTokenLimit bounds how many wrong tokens one remote host may present in a minute, and how many all
// hosts may present together. The defaults are [DefaultTokenLimit] and [DefaultTokenLimitOverall]. A
// number that is not positive is ignored. Above a limit the node refuses all tokens of the host, or of
// every host, without a look at them, until each wrong one has cost its part of a minute. Right tokens
// do not count.
func WithTokenLimit(perMinute, overall int) Option {
	return optionFunc(func(c *config) {
		c.wrongTokens = positive(perMinute, c.wrongTokens)
		c.allWrongTokens = positive(overall, c.allWrongTokens)
	})
}

// WithIntroductionLimit bounds how many certificates one remote host may bring in a minute, by Join or
// by Share. The default is [DefaultIntroductionLimit]. A number that is not positive is ignored.
func WithIntroductionLimit(perMinute int) Option {
	return optionFunc(func(c *config) { c.introductions = positive(perMinute, c.introductions) })
}

// WithMaxPeers bounds how many certificates the store may have, that of the node included, for other
// nodes to add one, by Join or by Share. The default is [DefaultMaxPeers]. A number that is not positive
// is ignored. An operator may always store a certificate, and it counts.
func WithMaxPeers(n int) Option {
	return optionFunc(func(c *config) { c.maxPeers = positive(n, c.maxPeers) })
}

// maxFrame returns the size of the largest packet on the wire, in bytes: a message in base64, or a frame
// of a duplex link, and room for the addresses around it.
func (l *limits) maxFrame() int {
	// A huge limit, which means none, must not overflow, least of all on 32 bits.
	metadata := min(l.maxMetadata, math.MaxInt/2)
	message := min(l.maxMessage, (math.MaxInt-metadata)/4*3-2)

	return max((message+2)/3*4, session.MaxFrame) + metadata
}

// maxHeaderList returns the size of the largest list of headers on the wire, in bytes.
func (l *limits) maxHeaderList() uint32 {
	return uint32(min(uint64(l.maxMetadata)+grpcHeaders, math.MaxUint32))
}

// peerPart returns how much of the memory one peer may have, in bytes.
func (l *limits) peerPart() int {
	return positive(l.peerShare, l.memory/4)
}

// budget returns the memory of the node. It returns an error if the share of a peer is too small for
// the largest message.
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

// times returns n times a limit. It does not overflow for a huge limit, which means none.
func times(limit, n int) int {
	return min(limit, math.MaxInt/n) * n
}
