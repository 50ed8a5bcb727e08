package session

import (
	"errors"
	"fmt"
	"strings"

	"github.com/minogrpc/session/internal/inbox"
	"github.com/minogrpc/session/internal/memory"
	"github.com/minogrpc/session/mino"
)

// ErrClosed is wrapped by the errors that a closed session, queue or connection manager returns.
var ErrClosed = errors.New("closed")

// ErrQueueFull is the error of Push when a queue has reached one of its bounds. It is also the
// cause when a session reports [ReasonOverflow] for its own queue.
var ErrQueueFull = inbox.ErrFull

// ErrMemory is the cause when a session reports [ReasonOverflow] for its own [MemoryBudget]: the
// queues and outboxes of all the sessions that share the budget hold as much as it allows.
var ErrMemory = memory.ErrExhausted

// ErrStranger is wrapped by the error of a packet that a session refuses for its provenance: the
// packet comes from a node that is no neighbour, or its source cannot be behind the neighbour that
// sent it. See [WithNeighborsOnly].
var ErrStranger = errors.New("stranger")

// ErrSource is wrapped by an error that also wraps [ErrStranger], if only the source of the packet
// is impossible. The neighbour itself may be honest, and have passed on the lie of another node.
var ErrSource = fmt.Errorf("%w: impossible source", ErrStranger)

// ErrNotTaken is wrapped by the error of RecvPacket if the session has delivered nothing of the
// packet and passed nothing on, and will not do so later. See [LinkRefused].
var ErrNotTaken = errors.New("packet not taken")

// Reason says why a destination was not reached. Every reason but [ReasonTimeout] means that no
// copy of the message was delivered, and that none will be.
type Reason int

const (
	// ReasonNoRoute: no node knows a way to the destination.
	ReasonNoRoute Reason = iota + 1

	// ReasonUnreachable: the destination is known, but every way to it failed before the message
	// was handed over.
	ReasonUnreachable

	// ReasonOverflow: the queue of the destination, or the outbox of a node on the way, is full.
	// The message was dropped. The sender must slow down by itself; see [WithOutboxLimits].
	ReasonOverflow

	// ReasonTimeout: nobody knows the outcome. The message may have been delivered, or may still
	// be. Either the deadline has passed, or a copy was handed to a neighbour that was lost, closed
	// or silent before it answered. In the second case the cause is that loss, with the outcomes of
	// the other copies.
	ReasonTimeout

	// ReasonClosed: the session of the destination, or of the sender, has ended. The cause says
	// why, if the reporting node knows it.
	ReasonClosed

	// ReasonRejected: a node refused the message for its content or form, for example because it
	// cannot be serialized. The node will refuse the same message again.
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

// DeliveryError says that one destination was not reached. Every error on the channel that Send
// returns is a DeliveryError.
type DeliveryError struct {
	// Destination is the address that was not reached, or nil for a destination that has no
	// address. It is what the caller gave to Send, unwrapped if it came from Recv. An [Address] can
	// be compared with == and be the key of a map; the address of the orchestrator is in that role.
	// To compare Destination with an address from Recv, take the [FollowerOf] of both.
	Destination mino.Address

	// Reason says why. A sender decides by it what to do next.
	Reason Reason

	// Hop is the node that gave up. If that node is not known, Hop is the neighbour that reported
	// the failure. An orchestrator names itself in that role. Hop is for people to read; as the key
	// of a map use its [FollowerOf], which may also be the address of a player.
	Hop mino.Address

	// Cause gives more detail. It is never nil. A cause from another node is only a text.
	Cause error
}

var _ mino.DeliveryFailure = (*DeliveryError)(nil)

// Error implements error. It uses the wording that nodes exchange.
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

// Undelivered implements [mino.DeliveryFailure]. It returns the Destination.
func (e *DeliveryError) Undelivered() mino.Address {
	return e.Destination
}

// InDoubt implements [mino.DeliveryFailure]. Only [ReasonTimeout] leaves it open whether the message is
// delivered.
func (e *DeliveryError) InDoubt() bool {
	return e.Reason == ReasonTimeout
}

// MessageError is the error that [Session] Recv returns for a message that it cannot decode. It
// concerns that message alone: the next Recv returns the next message.
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
