// Package tokens makes and checks the tokens that let nodes into an overlay. A member generates a token.
// Its operator passes the token on to the operator of a newcomer, which presents it to the member.
//
// A token has 128 random bits or more, so that nobody can guess it. It expires. Until then it lets in
// any number of nodes, unless [WithUses] bounds the number. Anybody who reads an unbounded token in a
// log, or in a history of commands, can use it until it expires.
//
// The holders of this package may be used from several goroutines at once. They start no goroutines, and
// need not be closed.
package tokens

import "time"

// Holder generates tokens and verifies them. Several goroutines may call the methods of an
// implementation at once.
type Holder interface {
	// Generate returns a new token, which lets nodes in until the expiration has passed. With an
	// expiration of zero or less the token lets in nobody.
	Generate(expiration time.Duration) string

	// Verify tells whether the token lets a node in. If the uses of the token are bounded, Verify takes
	// one: it never lets in more nodes than that, also if they come at once. The time that Verify takes
	// must say nothing about the valid tokens.
	Verify(token string) bool
}
