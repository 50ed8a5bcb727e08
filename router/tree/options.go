package tree

import (
	"time"

	"github.com/minogrpc/session/router/internal/message"
)

// Defaults and limits of the options.
const (
	// DefaultHeight is the number of hops from the root to the lowest leaf.
	DefaultHeight = 3

	// MaxHeight is the largest height of a tree, 64.
	MaxHeight = message.MaxHeight

	// DefaultRetryAfter is the pause after which a lost neighbour is tried again.
	DefaultRetryAfter = time.Second

	// DefaultMaxAddresses is the largest number of addresses in one packet,
	// handshake or list of players: 1,000,000.
	DefaultMaxAddresses = message.MaxAddresses
)

// minBranches is the number of children of a node that could do with fewer: a
// broad tree is a fast one.
const minBranches = 5

// RouterOption changes a default of [NewRouter].
type RouterOption func(*config)

// config is what the options of a router set.
type config struct {
	height       int
	retryAfter   time.Duration
	maxAddresses int
}

func newConfig(options []RouterOption) config {
	c := config{
		height:       DefaultHeight,
		retryAfter:   DefaultRetryAfter,
		maxAddresses: DefaultMaxAddresses,
	}

	for _, option := range options {
		option(&c)
	}

	return c
}

// WithHeight sets the largest number of hops between the root and a player, from 1 to [MaxHeight];
// anything else is ignored. Only the root uses it: nodes below take the height from their
// handshake.
func WithHeight(n int) RouterOption {
	return func(c *config) {
		if n >= 1 && n <= MaxHeight {
			c.height = n
		}
	}
}

// WithRetryAfter sets how long a table reports a lost neighbour as unreachable before it tries that
// neighbour again. It must be positive; anything else is ignored.
func WithRetryAfter(d time.Duration) RouterOption {
	return func(c *config) {
		if d > 0 {
			c.retryAfter = d
		}
	}
}

// WithMaxAddresses sets the largest number of addresses in one packet, handshake or list of
// players. It must be positive; anything else is ignored. Nodes with a lower limit refuse what
// nodes with a higher limit send.
func WithMaxAddresses(n int) RouterOption {
	return func(c *config) {
		if n > 0 {
			c.maxAddresses = n
		}
	}
}
