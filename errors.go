package session

import (
	"errors"
	"fmt"
	"strings"

	"github.com/minogrpc/session/internal/inbox"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/mino"
)

// ErrClosed is what the errors of a closed session, queue or connection manager
// wrap.
var ErrClosed = errors.New("closed")

// ErrQueueFull is what Push returns when one of the bounds of a queue is reached. It is
// also the cause of a [ReasonOverflow] that the own session reports then.
var ErrQueueFull = inbox.ErrFull

// ErrMemory is the cause of a [ReasonOverflow] that the own session reports when the
// queues and outboxes of all the sessions that share its [MemoryBudget] hold as much as
// that allows.
var ErrMemory = memory.ErrExhausted

// ErrStranger is what the error of a packet wraps that is refused because of whom it
// comes from: one who is no neighbour, or a neighbour that cannot have it from the source
// that it names. See [WithNeighborsOnly].
var ErrStranger = errors.New("stranger")

// ErrSource is what such an error wraps, too, when it is about the packet alone: its source
// cannot be where it has come from. The neighbour may only have passed it on.
var ErrSource = fmt.Errorf("%w: impossible source", ErrStranger)

// Reason says why a destination was not reached.
type Reason int

const (
	// ReasonNoRoute: no node knows a way to the destination.
	ReasonNoRoute Reason = iota + 1

	// ReasonUnreachable: the destination is known, but every way to it failed.
	ReasonUnreachable

	// ReasonOverflow: a bound was reached, of the queue of the destination or of
	// the outbox of a node on the way. The message is gone, and nothing slows the
	// sender down but itself; see [WithOutboxLimits].
	ReasonOverflow

	// ReasonTimeout: the outcome was not known in time. The message may have been
	// delivered, or may still be.
	ReasonTimeout

	// ReasonClosed: the session of the destination, or of the sender, has ended. Why
	// the sender's own did is what Recv returns, and [Lifecycle] Err.
	ReasonClosed

	// ReasonRejected: a node refused the message for what it is, for example
	// because it cannot be serialized. It will refuse it again.
	ReasonRejected
)

// String returns the reason in words.
func (r Reason) String() string {
	switch r {
	case ReasonNoRoute:
		return "no route"
	case ReasonUnreachable:
		return "unreachable"
	case ReasonOverflow:
		return "overflow"
	case ReasonTimeout:
		return "timeout"
	case ReasonClosed:
		return "closed"
	case ReasonRejected:
		return "rejected"
	default:
		return fmt.Sprintf("reason %d", int(r))
	}
}

// DeliveryError is the outcome of one destination that was not reached. Every
// error on the channel that Send returns is one.
type DeliveryError struct {
	// Destination is the address that was not reached, or nil when the error is
	// about a destination that has no address. It is what was given to Send, without
	// what Recv has put around it: an [Address] can be compared with == and be the
	// key of a map, and that of the orchestrator is in that role. Next to addresses
	// from Recv use the [FollowerOf] of both.
	Destination mino.Address

	// Reason is what a sender would branch on.
	Reason Reason

	// Hop is the node that gave up, as far as it is known: the neighbour that told
	// about it otherwise. The orchestrator names itself in that role. It is for people
	// to read; for a map take its [FollowerOf], which may be that of a player.
	Hop mino.Address

	// Cause says more. It is never nil. An error that comes from another node is
	// only a text.
	Cause error
}

// Error implements error. The wording is the one that nodes exchange.
func (e *DeliveryError) Error() string {
	phrase := e.phrase()

	// A cause that another node or a routing table has put in the same words says them
	// once more.
	return phrase + strings.ReplaceAll(fmt.Sprint(e.Cause), phrase, "")
}

// phrase returns the words before the cause.
func (e *DeliveryError) phrase() string {
	dest := "<nil>"
	if e.Destination != nil {
		dest = nameOf(e.Destination)
	}

	switch e.Reason {
	case ReasonNoRoute, ReasonUnreachable:
		return "no route to " + dest + ": "
	case ReasonClosed:
		return "session " + dest + " is closing: "
	default:
		return dest + " dropped the packet: "
	}
}

// Unwrap returns the cause.
func (e *DeliveryError) Unwrap() error {
	return e.Cause
}

// MessageError is what [Session] Recv returns for a message that cannot be
// decoded. It is an error of that message alone: the next Recv goes on.
type MessageError struct {
	// From is the sender of the message.
	From mino.Address

	// Cause is the error of the factory.
	Cause error
}

// Error implements error.
func (e *MessageError) Error() string {
	return fmt.Sprintf("message: %v", e.Cause)
}

// Unwrap returns the cause.
func (e *MessageError) Unwrap() error {
	return e.Cause
}
