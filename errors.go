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

// ErrQueueFull is what Push returns when one of the bounds of a queue is reached. It is also the
// cause when a session reports [ReasonOverflow] for its own queue.
var ErrQueueFull = inbox.ErrFull

// ErrMemory is the cause when a session reports [ReasonOverflow] for its own [MemoryBudget]: the
// queues and outboxes of all the sessions that share it hold as much as it allows.
var ErrMemory = memory.ErrExhausted

// ErrStranger is wrapped by the error of a packet that is refused for its provenance: it comes
// from a node that is no neighbour, or its source cannot be behind the neighbour that sent it. See
// [WithNeighborsOnly].
var ErrStranger = errors.New("stranger")

// ErrSource is wrapped by such an error, too, if only the source is impossible. The neighbour
// itself may be honest, and have passed on the lie of another node.
var ErrSource = fmt.Errorf("%w: impossible source", ErrStranger)

// ErrNotTaken is wrapped by the error of RecvPacket about a packet of which the session has delivered
// nothing and passed nothing on, and will not do so later. See [LinkRefused].
var ErrNotTaken = errors.New("packet not taken")

// Reason says why a destination was not reached. Every reason but [ReasonTimeout] means that no copy
// of the message was delivered, or will be.
type Reason int

const (
	// ReasonNoRoute: no node knows a way to the destination.
	ReasonNoRoute Reason = iota + 1

	// ReasonUnreachable: the destination is known, but every way to it failed before the message
	// was handed over.
	ReasonUnreachable

	// ReasonOverflow: the queue of the destination, or the outbox of a node on the way, is
	// full. The message is gone. The sender must slow down by itself; see [WithOutboxLimits].
	ReasonOverflow

	// ReasonTimeout: nobody knows the outcome. The message may have been delivered, or may still
	// be. Either the deadline has passed, or a copy was handed over to a neighbour that was lost,
	// closed or silent before it answered. That loss is the cause then, with what became of the
	// other copies.
	ReasonTimeout

	// ReasonClosed: the session of the destination, or of the sender, has ended. The cause says
	// why, where that is known.
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
	// Destination is the address that was not reached, or nil for a destination that has no
	// address. It is what the caller gave to Send, unwrapped if it came from Recv. An [Address]
	// can be compared with == and be the key of a map; the address of the orchestrator is in
	// that role. To compare it with addresses from Recv use the [FollowerOf] of both.
	Destination mino.Address

	// Reason says why. A sender branches on it.
	Reason Reason

	// Hop is the node that gave up, or, where that is not known, the neighbour that reported
	// the failure. An orchestrator names itself in that role. Hop is for people to read; as the
	// key of a map use its [FollowerOf], which may also be the address of a player.
	Hop mino.Address

	// Cause says more. It is never nil. A cause from another node is only a text.
	Cause error
}

// Error implements error. The wording is the one that nodes exchange.
func (e *DeliveryError) Error() string {
	cause := fmt.Sprint(e.Cause)
	phrase := e.phrase(cause)

	// The cause may begin with the same phrase, if another node or a routing table made it.
	return phrase + strings.ReplaceAll(cause, phrase, "")
}

// phrase returns the words before the cause.
func (e *DeliveryError) phrase(cause string) string {
	dest := "<nil>"
	if e.Destination != nil {
		dest = nameOf(e.Destination)
	}

	noRoute, closing, dropped := "no route to "+dest+": ", "session "+dest+" is closing: ", dest+" dropped the packet: "

	switch e.Reason {
	case ReasonNoRoute, ReasonUnreachable:
		return noRoute
	case ReasonClosed:
		return closing
	case ReasonTimeout:
		// What an existing node has said about the destination keeps its words.
		for _, said := range []string{noRoute, closing} {
			if strings.Contains(cause, said) {
				return said
			}
		}
	case ReasonOverflow, ReasonRejected:
	}

	return dropped
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
