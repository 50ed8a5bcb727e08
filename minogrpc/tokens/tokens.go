// Package tokens lets nodes into an overlay: whoever presents a token that a node
// has generated, and that the two have exchanged in some other way, may join.
//
// A token is 128 random bits, so that nobody guesses one. It counts for a bounded time.
// Until then it lets in any number of nodes, unless [WithUses] bounds that: whoever reads
// an unbounded token in a log or in a history of commands can use it until it expires.
//
// The holders of this package may be used from several goroutines at once. They
// have no goroutines of their own, and nothing to close.
package tokens

import "time"

// Holder generates tokens and knows them again. Implementations must allow both
// methods from several goroutines at once.
type Holder interface {
	// Generate returns a new token that counts until the expiration has passed. One
	// that is not positive has passed already: the token is good for nothing.
	Generate(expiration time.Duration) string

	// Verify tells whether the token lets a node in, and takes one of its uses if they
	// are bounded: of those that present the same token at once, no more are let in than
	// it has uses. How long it takes must say nothing of what the tokens are.
	Verify(token string) bool
}
