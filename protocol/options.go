package protocol

import "time"

// defaultWindow is how many messages of a stream may be under way to one destination.
const defaultWindow = 256

// config is what the options set.
type config struct {
	codec     Codec
	window    int
	fallbacks int
	patience  time.Duration
}

// Option changes a default of [Define].
type Option interface {
	apply(*config)
}

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// WithCodec sets how requests and answers become bytes. All nodes must have the same codec. The default is
// [JSON]; nil is ignored.
func WithCodec(codec Codec) Option {
	return optionFunc(func(c *config) {
		if codec != nil {
			c.codec = codec
		}
	})
}

// WithWindow sets how many messages of a stream this node has under way to one destination, without a known
// outcome. Past that [Stream.Send], [Stream.Gather] and [In.Reply] wait. The default is 256. It must be
// positive; anything else is ignored. A message to several destinations holds its room at those that it reaches
// until all its outcomes are known.
func WithWindow(n int) Option {
	return optionFunc(func(c *config) {
		if n > 0 {
			c.window = n
		}
	})
}

// WithRootFallback lets [Procedure.Open] and [Procedure.Gather] try up to n further players as the root, if the
// stream cannot be opened at the first. The other players keep their order, and the one that
// has failed stays a player. Every attempt takes up to the set-up timeout of the overlay. The default is 0; a
// negative n is ignored.
func WithRootFallback(n int) Option {
	return optionFunc(func(c *config) {
		if n >= 0 {
			c.fallbacks = n
		}
	})
}

// WithPatience sets how long a gathering waits for a player that is lost to come back or to answer. With the
// default of 0 the result is [ReasonLost] at once, also if the player comes back later. A negative d is ignored.
func WithPatience(d time.Duration) Option {
	return optionFunc(func(c *config) {
		if d >= 0 {
			c.patience = d
		}
	})
}
