package protocol

import (
	"errors"
	"fmt"
	"strings"

	"github.com/minogrpc/session/mino"
)

// ErrOneWay is the error of [In.Reply] and [In.Fail] for a request that was sent with [Stream.Send], which
// wants no answer.
var ErrOneWay = errors.New("the request wants no answer")

// ErrDropped is yielded by [Stream.Requests] if requests that want no answer were dropped: more waited than
// a stream holds. The loop can go on.
var ErrDropped = errors.New("requests were dropped")

// Reason says why a player has not answered, or was not reached.
type Reason int

const (
	// ReasonUndelivered: the request was not delivered, and will not be. The cause is the error of the
	// overlay's Send (session.DeliveryError), of the set-up of the stream, or of the codec.
	ReasonUndelivered Reason = iota + 1
	// ReasonLost: the overlay has lost the player before it knew an answer. The player may have acted on the request.
	ReasonLost
	// ReasonFailed: the player says that it has failed: its play has returned the error or panicked, or it has
	// called [In.Fail]. The cause has the text.
	ReasonFailed
	// ReasonFinished: the play of the player has returned without an answer.
	ReasonFinished
	// ReasonRefused: the request has not come to the play of the player. That node could not
	// decode it, or too many others were waiting there.
	ReasonRefused
	// ReasonBadAnswer: the answer cannot be decoded, or the caller of [Quorum] does not accept it.
	ReasonBadAnswer
	// ReasonLate: the context was done first. The cause is that of the context. It also wraps the error of
	// the overlay if that does not know whether the request was delivered.
	ReasonLate
	// ReasonEnded: the stream has ended for all players, for example because its root was lost.
	ReasonEnded
	// ReasonInDoubt: nobody knows whether the message of [Stream.Send] was delivered. A gathering does not
	// have it: it waits for an answer all the same.
	ReasonInDoubt
)

// String returns the reason in words.
func (r Reason) String() string {
	words := [...]string{
		ReasonUndelivered: "not delivered",
		ReasonLost:        "lost",
		ReasonFailed:      "failed",
		ReasonFinished:    "finished without an answer",
		ReasonRefused:     "refused the request",
		ReasonBadAnswer:   "bad answer",
		ReasonLate:        "late",
		ReasonEnded:       "the stream has ended",
		ReasonInDoubt:     "in doubt",
	}

	if r < ReasonUndelivered || int(r) >= len(words) {
		return fmt.Sprintf("reason %d", int(r))
	}

	return words[r]
}

// PlayerError says why one player has not answered, or was not reached. It is the error of every [Result] and
// of [Stream.Send].
type PlayerError struct {
	// Player is the caller's own address of the player.
	Player mino.Address
	// Reason is for programs to branch on.
	Reason Reason
	// Cause gives more detail, and may be nil. What another node says is only a text of at most 1 KiB.
	Cause error
}

// Error implements error.
func (e *PlayerError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("%v: %v", e.Player, e.Reason)
	}

	return fmt.Sprintf("%v: %v: %v", e.Player, e.Reason, e.Cause)
}

// Unwrap returns the cause.
func (e *PlayerError) Unwrap() error {
	return e.Cause
}

// QuorumError says that [Quorum] did not get enough good answers.
type QuorumError struct {
	// Want is how many good answers were asked for, and Got how many there were.
	Want, Got int
	// Players says why each of the others has given none, as far as that was known when the quorum was out of
	// reach.
	Players []*PlayerError
}

// Error implements error.
func (e *QuorumError) Error() string {
	lines := make([]string, 0, 1+len(e.Players))
	lines = append(lines, fmt.Sprintf("a quorum of %d is out of reach: %d good so far, %d failed",
		e.Want, e.Got, len(e.Players)))

	for _, player := range e.Players {
		lines = append(lines, player.Error())
	}

	return strings.Join(lines, "\n")
}

// Unwrap returns the errors of the players.
func (e *QuorumError) Unwrap() []error {
	errs := make([]error, len(e.Players))
	for i, err := range e.Players {
		errs[i] = err
	}

	return errs
}
