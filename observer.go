package session

import (
	"time"

	"github.com/minogrpc/session/mino"
)

// Observer learns what a session does. Every field may be nil; a nil field costs nothing. The
// session calls the functions from several goroutines at once and holds no lock. Packets wait while
// a function runs, so it must be quick. A function that panics ends the session, not the process.
// Each function is told which stream of which node it is about.
// The functions must not change the addresses and errors that they get.
type Observer struct {
	// RelayOpened is called when a neighbour can be reached: a child has answered, or a parent has
	// been registered.
	RelayOpened func(stream StreamInfo, peer mino.Address)

	// RelayBroken is called, with the cause, when the stream of a duplex link to a neighbour has
	// broken. The session now tries to go on over another stream, or waits for the neighbour to do
	// so. The sessions at both ends call it. RelayResumed or RelayLost follows, unless the session
	// ends.
	RelayBroken func(stream StreamInfo, peer mino.Address, cause error)

	// RelayResumed is called at both ends when a broken link goes on. Nothing was lost.
	RelayResumed func(stream StreamInfo, peer mino.Address)

	// RelayLost is called when the link to a neighbour is lost, with the cause. The sessions at both ends
	// call it: LossKnown says which of the two has lost the other.
	RelayLost func(stream StreamInfo, peer mino.Address, cause error)

	// LossKnown is called when this node knows that another node of the stream is lost: it has noticed
	// that itself, or heard of it. One node notices a loss, however many neighbours the lost node had.
	LossKnown func(stream StreamInfo, loss Loss)

	// RelayClosed is called when the session has released the relay to a neighbour, after a loss or
	// because the session has ended.
	RelayClosed func(stream StreamInfo, peer mino.Address)

	// RoundTrip is called with how long the way to the neighbour of a duplex link and back takes, about
	// once in the time of [WithLiveness].
	RoundTrip func(stream StreamInfo, peer mino.Address, d time.Duration)

	// PacketSent is called when the session has handed a packet to a neighbour.
	PacketSent func(stream StreamInfo, to mino.Address, info PacketInfo)

	// PacketReceived is called when a packet has come from a neighbour.
	PacketReceived func(stream StreamInfo, from mino.Address, info PacketInfo)

	// PacketDelivered is called when the session has put a packet into its own queue.
	PacketDelivered func(stream StreamInfo, info PacketInfo)

	// PacketDropped is called once for each destination that this node reports as not reached,
	// to its own application or to the neighbour that sent the packet. The Hop of the error is this node
	// if it has noticed the failure. Otherwise this node has heard of it.
	PacketDropped func(stream StreamInfo, err *DeliveryError)

	// OutcomeKnown is called for each destination of a message that this node has sent, just after the
	// channel of Send has told its outcome. The outcome of a destination that is no address is not told.
	OutcomeKnown func(stream StreamInfo, outcome Outcome)

	// PacketRefused is called for each packet that the session refuses for its provenance. The
	// address is that of the neighbour, as the overlay gave it; the error wraps [ErrStranger]. See
	// [WithNeighborsOnly].
	PacketRefused func(stream StreamInfo, from mino.Address, err error)

	// MessageRejected is called when the session cannot decode the message of a packet in its
	// queue. It is also called when the session has dropped a large message of a neighbour because
	// no further part of it came for the time of [WithLiveness]; in that case From is the
	// neighbour.
	MessageRejected func(stream StreamInfo, err *MessageError)

	// QueueDepth is called when a packet has entered or left the queue. It gets the number of
	// packets in the queue and their total cost, in bytes.
	QueueDepth func(stream StreamInfo, packets, bytes int)
}

// Loss says that a node of the stream is lost. The node that has opened the stream to the lost one notices
// it: that is the one above it in the tree. Between the orchestrator and the root, each notices the loss of the other.
// The nodes below the lost one cannot tell whether they are cut off themselves: they only lose a link.
type Loss struct {
	// Node is the node that is lost: a player, or the orchestrator.
	Node mino.Address

	// From is nil if this node has noticed the loss. Otherwise it is the neighbour that has said so: it
	// has passed on news of players, or it has adopted this node, whose parent was lost.
	From mino.Address

	// Cause is why. In a loss that this node has heard of, another node has written the text.
	Cause error
}

// IsNoticed tells whether this node has noticed the loss, and not heard of it.
func (l Loss) IsNoticed() bool {
	return l.From == nil
}

// PacketInfo describes a packet to an [Observer].
type PacketInfo struct {
	// Source is the sender of the message.
	Source mino.Address

	// Destinations is the number of players that the packet is for.
	Destinations int

	// Bytes is the size of the message.
	Bytes int
}

// Outcome is what became of a message for one destination.
type Outcome struct {
	// Destination is the destination as Send got it, unwrapped if it came from Recv.
	Destination mino.Address

	// Err is nil if the destination was reached.
	Err *DeliveryError

	// Latency is the time from the call of Send to the outcome.
	Latency time.Duration
}
