package mino

import (
	"context"
	"fmt"

	"github.com/minogrpc/session/serde"
)

// PlayerState is what has become of a player of a stream.
type PlayerState int

const (
	// PlayerUnknown is a player of which the orchestrator has not heard.
	PlayerUnknown PlayerState = iota
	// PlayerReached is a player at which the stream has been opened.
	PlayerReached
	// PlayerLost is a player that cannot be reached any more. It may come back.
	PlayerLost
	// PlayerBack is a player that was lost and has been reached again.
	PlayerBack
	// PlayerFinished is a player whose handler has returned. It sends no more messages, and those that
	// it has sent before have come before this state, unless they were lost.
	PlayerFinished
	// PlayerFailed is PlayerFinished, with an error.
	PlayerFailed
)

// String returns the state for people to read.
func (s PlayerState) String() string {
	switch s {
	case PlayerUnknown:
		return "unknown"
	case PlayerReached:
		return "reached"
	case PlayerLost:
		return "lost"
	case PlayerBack:
		return "back"
	case PlayerFinished:
		return "finished"
	case PlayerFailed:
		return "failed"
	default:
		return fmt.Sprintf("state %d", int(s))
	}
}

// Event is what [Watcher] RecvEvent returns: a message, or the news of a player.
type Event struct {
	// From is the sender of the message, or the player that the news is about.
	From Address
	// Message is nil if the event is news.
	Message serde.Message
	// State is PlayerUnknown if the event is a message.
	State PlayerState
	// Cause says why a player was lost, or with which error its handler has returned. It has at most 1 KiB of
	// text, and is what other nodes say.
	Cause error
}

// Watcher is implemented by the [Receiver] of an orchestrator whose stream was opened with a context of
// [WithNews], if the overlay has news.
type Watcher interface {
	Receiver

	// RecvEvent is Recv, and also returns the news of the players. News are states: if a player has
	// had several since the last call, only the newest is returned. What a player has sent before it
	// finished is returned before that news. News that nobody asks for do not hold up anything. When the
	// stream has ended, RecvEvent returns what is left and then the error of Recv.
	RecvEvent(ctx context.Context) (Event, error)
}

type newsKey struct{}

// WithNews returns a context for [RPC] Stream with which the nodes of the stream tell the orchestrator
// what becomes of the players; see [Watcher]. Without it they do not, and it costs nothing.
func WithNews(ctx context.Context) context.Context {
	return context.WithValue(ctx, newsKey{}, true)
}

// WantsNews tells whether the context is one of [WithNews].
func WantsNews(ctx context.Context) bool {
	return ctx.Value(newsKey{}) != nil
}
