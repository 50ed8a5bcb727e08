package session

import (
	"context"

	"github.com/minogrpc/session/internal/link"
)

// DialLimit is a number of streams that several sessions, usually all the sessions of a node, may
// open at once: to new children, and to neighbours whose duplex link has broken. It may be used
// from several goroutines at once.
type DialLimit struct {
	turns *link.Turns
}

// NewDialLimit returns a limit of n streams at once, or of one if n is smaller. If n is more than
// one, new children leave an eighth of the places, but at least one, to links that have broken.
func NewDialLimit(n int) *DialLimit {
	return &DialLimit{turns: link.NewTurns(n)}
}

// Wait waits for a turn. If the context ends first, Wait returns the cause of that. An overlay
// calls it for the links that it sets up itself, besides its sessions, and gives the turn back by
// calling done once. A nil limit has no bound.
func (l *DialLimit) Wait(ctx context.Context) (done func(), err error) {
	if l == nil {
		return func() {}, nil
	}

	return l.turns.Wait(ctx)
}
