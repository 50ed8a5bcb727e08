package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/internal/slogged"
	"github.com/minogrpc/session/mino"
	"github.com/rs/zerolog"
)

// MaxTimeout is the longest time that an option of a session can set; a longer time counts as
// MaxTimeout. A packet says how long its sender waits, and that is no longer than MaxTimeout
// either.
const MaxTimeout = 24 * time.Hour

// Defaults of the options.
const (
	// DefaultSetupTimeout is how long a neighbour may take to answer a new stream.
	DefaultSetupTimeout = 10 * time.Second

	// DefaultOutcomeTimeout is how long a Send waits, at most, for the outcomes.
	DefaultOutcomeTimeout = 30 * time.Second

	// DefaultLiveness is how long a neighbour on a duplex link may be silent.
	DefaultLiveness = 10 * time.Second

	// DefaultResumeTimeout is how long a broken duplex link between players may take to go on over
	// another stream.
	DefaultResumeTimeout = 2 * time.Second

	// DefaultAdoptionGrace is how long a session whose last parent is gone without a
	// goodbye waits for another one.
	DefaultAdoptionGrace = 20 * time.Second

	// DefaultQueuePackets and DefaultQueueBytes bound the packets that a session has received and
	// its reader has not read yet.
	DefaultQueuePackets = 1_000_000
	DefaultQueueBytes   = 256 << 20

	// DefaultOutboxPackets and DefaultOutboxBytes bound the packets for one neighbour that
	// wait to be sent or answered.
	DefaultOutboxPackets = 100_000
	DefaultOutboxBytes   = 64 << 20

	// DefaultMaxMessage bounds one message, in bytes.
	DefaultMaxMessage = 64 << 20

	// DefaultMaxMetadata bounds the metadata of a stream to a child, in bytes, the
	// handshake included.
	DefaultMaxMetadata = 16 << 20

	// DefaultHopLimit is how many times nodes may pass a packet on: somewhat more than twice the
	// largest height of a tree.
	DefaultHopLimit = 132
)

// MaxMessageSize is the largest message, in bytes, that an overlay may send over this wire protocol.
// Existing overlays read it for the limits of their servers and clients. Sessions do not read it:
// their limit is that of [WithMaxMessageSize].
var MaxMessageSize = int(1e9)

// Option changes a default of [NewSession].
type Option interface {
	apply(*config)
}

// config is what the options of a session set.
type config struct {
	logger   zerolog.Logger
	observer Observer
	tracer   Tracer
	// sendContext is the context of a Send.
	sendContext context.Context

	setup   time.Duration
	outcome time.Duration
	grace   time.Duration
	silence time.Duration
	// resume is 0 for what the kind of link takes: see playerPatience and rootPatience.
	resume        time.Duration
	noDuplex      bool
	queuePackets  int
	queueBytes    int
	outboxPackets int
	outboxBytes   int
	maxMessage    int
	maxMetadata   int
	budget        *MemoryBudget
	dials         *DialLimit
	hopLimit      uint32
	noRetry       bool
	neighborsOnly bool
	sources       map[string]struct{}
}

func newConfig(opts []Option) config {
	c := config{
		logger:        zerolog.Nop(),
		sendContext:   context.Background(),
		setup:         DefaultSetupTimeout,
		outcome:       DefaultOutcomeTimeout,
		grace:         DefaultAdoptionGrace,
		silence:       DefaultLiveness,
		queuePackets:  DefaultQueuePackets,
		queueBytes:    DefaultQueueBytes,
		outboxPackets: DefaultOutboxPackets,
		outboxBytes:   DefaultOutboxBytes,
		maxMessage:    DefaultMaxMessage,
		maxMetadata:   DefaultMaxMetadata,
		hopLimit:      DefaultHopLimit,
	}

	for _, opt := range opts {
		opt.apply(&c)
	}

	return c
}

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// WithLogger sets the logger. Without it the session logs nothing.
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

// WithObserver adds an observer of what the session does. Several observers are told in the order of the
// options.
func WithObserver(observer Observer) Option {
	return optionFunc(func(c *config) { c.observer = c.observer.join(observer) })
}

// WithSetupTimeout sets how long a neighbour may take to answer a new stream before it counts as
// lost. It must be positive; anything else is ignored, and more than [MaxTimeout] counts as that.
// If the first packet has little time left, the neighbour has less time too: a third of what the
// packet has left, but a second at least. A session dials 56 children at once, and the time of each
// child begins when the session dials it.
func WithSetupTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) { c.setup = timeout(d, c.setup) })
}

// WithOutcomeTimeout sets how long a Send waits for the outcomes before the session reports
// [ReasonTimeout]. It must be positive; anything else is ignored, and more than [MaxTimeout] counts
// as that. Over a duplex link it counts only while the process gets the processor, so that an outcome
// may come later, by up to about eight times, in a process whose cores are all busy.
//
// It also bounds the packets of other nodes: a session waits for their outcome no longer than ten
// times its own timeout, whatever the sender asks for. So a sender with a longer timeout learns of
// a timeout from the first node on the way with a shorter one.
func WithOutcomeTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) { c.outcome = timeout(d, c.outcome) })
}

// WithLiveness sets how long a neighbour on a duplex link may give no sign of life before it counts
// as lost. Each end gives a sign of life every third of that time, so all nodes should have the
// same value. If you raise it, check [WithAdoptionGrace], too. It must be positive; anything else
// is ignored, and more than [MaxTimeout] counts as that. It counts only while the process gets the
// processor: a process whose cores are all busy may take up to about eight times as long.
func WithLiveness(d time.Duration) Option {
	return optionFunc(func(c *config) { c.silence = timeout(d, c.silence) })
}

// WithResumeTimeout sets how long a broken duplex link may take, at most, to go on over another
// stream before the neighbour counts as lost. Without this option it is [DefaultResumeTimeout]
// between players. Between an orchestrator and its root it is the bound of [WithLiveness], because
// no other node can replace either of them.
//
// The end that dials tries for the whole of that time: see [StreamOpener]. The other end says how
// long it waits, and the dialling end stops trying 500 ms before that. A neighbour that no longer
// knows the link refuses, and is lost at once. The time must be positive; anything else is ignored,
// and more than [MaxTimeout] counts as that.
func WithResumeTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) { c.resume = timeout(d, c.resume) })
}

// WithoutDuplex makes the session neither offer nor accept duplex links between players. It then
// talks to them as it does to nodes of other implementations: it sends each packet in a call, and
// there are no heartbeats. Use it to compare the two kinds of link. An overlay that accepts streams
// must then use [NewRelay] for the players, because Listen does not take their duplex relays. A
// duplex link that the overlay has agreed on with an orchestrator stays a duplex link.
func WithoutDuplex() Option {
	return optionFunc(func(c *config) { c.noDuplex = true })
}

// WithAdoptionGrace sets how long a session whose last parent is gone without a goodbye waits for
// another one before it closes; see [WithGoodbye]. It must be positive; anything else is ignored,
// and more than [MaxTimeout] counts as that.
//
// The session may know of the loss at once. Its next parent may learn of it only when the lost node
// has been silent for too long. So the grace should be no less than the sum of three times: the
// bound of [WithLiveness]; a third of that bound, which a node grants once more after its clock has
// jumped; and the time of a set-up. With less, an orphan may close before another node looks for
// it. The session does not check this, because the bound that counts is that of the other nodes.
func WithAdoptionGrace(d time.Duration) Option {
	return optionFunc(func(c *config) { c.grace = timeout(d, c.grace) })
}

// WithQueueLimits bounds the packets that the session has received and its reader has not read yet,
// in number and in bytes of their cost. A packet costs its message, the texts of its source and
// destinations, and 250 bytes more. Both bounds must be positive; anything else is ignored. Past
// either bound the outcome is [ReasonOverflow].
func WithQueueLimits(packets, bytes int) Option {
	return optionFunc(func(c *config) {
		c.queuePackets = positive(packets, c.queuePackets)
		c.queueBytes = positive(bytes, c.queueBytes)
	})
}

// WithOutboxLimits bounds the packets that wait for one neighbour, in number and in bytes of their
// cost. [WithQueueLimits] says what a packet costs; here each further destination costs 100 bytes
// more. Unanswered packets count. Both bounds must be positive; anything else is ignored. An empty
// outbox takes a message of any size. Past a bound the outcome is [ReasonOverflow].
//
// A destination may hold nine times the room that is left, at most. Alone it gets nine tenths.
// Where k destinations take all they can get, 1/(1+9k) of the bounds is left for the next. The
// sources of the packets for one destination share its part by the same rule.
//
// The bounds hold at each node on the way, for all senders together: all senders to the
// orchestrator share what the outbox of the root has for the orchestrator. A session does not slow
// its senders down: a protocol must keep a window, that is, wait for outcomes before it sends more.
func WithOutboxLimits(packets, bytes int) Option {
	return optionFunc(func(c *config) {
		c.outboxPackets = positive(packets, c.outboxPackets)
		c.outboxBytes = positive(bytes, c.outboxBytes)
	})
}

// WithMaxMessageSize bounds the serialized message of one Send, in bytes. It must be positive;
// anything else is ignored. A session refuses a larger message with [ReasonRejected], both from
// its own application and from a neighbour.
func WithMaxMessageSize(bytes int) Option {
	return optionFunc(func(c *config) { c.maxMessage = positive(bytes, c.maxMessage) })
}

// WithMaxMetadata bounds the metadata of a stream to a child, in bytes. It must be positive;
// anything else is ignored. It should be no more than the children accept, because metadata that
// are too large for a child end the whole connection. A child whose handshake is larger than the
// bound counts as lost, so that the routing table finds a way around it.
func WithMaxMetadata(bytes int) Option {
	return optionFunc(func(c *config) { c.maxMetadata = positive(bytes, c.maxMetadata) })
}

// WithMemoryBudget makes the session share a budget with others. When the budget is used up, the
// outcome is [ReasonOverflow]. A session without a budget has only its own limits.
func WithMemoryBudget(budget *MemoryBudget) Option {
	return optionFunc(func(c *config) { c.budget = budget })
}

// WithDialLimit makes the session share a limit with others. A child waits for its turn, and the
// time of its set-up begins after that. A broken link also waits for its turn, but no longer than
// the time that it has to go on. With or without a shared limit, a session opens no more than 64
// streams at once, of which up to 56 are to new children.
func WithDialLimit(limit *DialLimit) Option {
	return optionFunc(func(c *config) { c.dials = limit })
}

// memory returns the budget, or nil when there is none.
func (c *config) memory() *memory.Budget {
	if c.budget == nil {
		return nil
	}

	return c.budget.budget
}

// shares returns the shares of the peers, or nil when there are none.
func (c *config) shares() *memory.Shares {
	if c.budget == nil {
		return nil
	}

	return c.budget.shares
}

// shareOf returns the name under which a peer has its share.
func shareOf(addr mino.Address) string {
	if own, ok := unwrapAddress(addr).(Address); ok && !own.isOrchestrator() && own.host() != "" {
		return own.key()
	}

	key, _ := keyOf(FollowerOf(addr)) // Those without a text have one together.

	return key
}

// WithHopLimit sets how many times nodes may pass a packet on before it is dropped. It must be
// positive; zero is ignored.
func WithHopLimit(hops uint32) Option {
	return optionFunc(func(c *config) { c.hopLimit = positive(hops, c.hopLimit) })
}

// WithoutRetry makes a session report [ReasonTimeout] for a packet that was on its way to a
// neighbour when that neighbour was lost. By default the session sends the packet over another
// route. Use WithoutRetry if nodes of other implementations take part, and a message that arrives
// twice is worse than one that may be lost. Nodes of this library recognise the second copy by
// themselves.
func WithoutRetry() Option {
	return optionFunc(func(c *config) { c.noRetry = true })
}

// WithNeighborsOnly makes a session take packets only from nodes that are, or have been, its
// neighbours: the gateways of its parents, and the children to which it has opened a link. If the
// routing table is a [router.Sources], the session also checks the source of each packet: a child
// may send for itself and the nodes behind it, and a parent for no node below this one.
//
// The session refuses any other packet with an error that wraps [ErrStranger]. Over a duplex link
// the outcome is [ReasonRejected], and the link goes on, because an honest neighbour may have
// passed on the lie of another node.
//
// It is for overlays that verify their callers. If any node may call under any name, this option
// keeps no node out. A node that has lost its memory of a stream takes its former children for
// strangers.
//
// Two losses at once can put a player under another parent before the nodes above know. Until they
// know, they may refuse packets of the player that come by a detour. The sender learns that from
// the outcome.
func WithNeighborsOnly() Option {
	return optionFunc(func(c *config) { c.neighborsOnly = true })
}

// WithSources makes a session take only packets whose source is one of these addresses, in any
// spelling. It is for an orchestrator, whose players are known: its routing table has none of them,
// so without this option a root could make up messages of other nodes. The session refuses any
// other packet with an error that wraps [ErrSource]. It compares addresses of other types than
// [Address] by their text.
func WithSources(addrs ...mino.Address) Option {
	return optionFunc(func(c *config) {
		c.sources = make(map[string]struct{}, len(addrs))
		for _, addr := range addrs {
			c.sources[sourceKey(addr)] = struct{}{}
		}
	})
}

// playerPatience returns how long this node tries to go on with a broken link to another player.
func (c *config) playerPatience() time.Duration {
	return positive(c.resume, DefaultResumeTimeout)
}

// rootPatience returns how long an orchestrator tries to go on with the broken link to its root.
func (c *config) rootPatience() time.Duration {
	return positive(c.resume, c.silence)
}

// SetupTimeout returns how long a neighbour of a session with these options may take to answer a
// new stream. It is for an overlay that opens the first stream of an orchestrator itself.
func SetupTimeout(opts ...Option) time.Duration {
	return newConfig(opts).setup
}

// timeout is positive for a time. It bounds the time, so that sums with it do not overflow.
func timeout(value, otherwise time.Duration) time.Duration {
	return min(positive(value, otherwise), MaxTimeout)
}

// positive returns the value, or the default when the value makes no sense.
func positive[T int | uint32 | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}

	return value
}
