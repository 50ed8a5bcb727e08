package session

import "github.com/minogrpc/session/mino"

// Observer learns what a session does. Every field may be nil, and costs nothing then. The session
// calls the functions from several goroutines at once, without a lock, and on the way of the
// packets, so they must be quick. A function that panics ends the session, not the process. The
// functions must not change the addresses and errors that they get.
type Observer struct {
	// RelayOpened is called when a neighbour can be reached: a child has answered,
	// or a parent has been registered.
	RelayOpened func(peer mino.Address)

	// RelayBroken is called when the stream of a duplex link to a neighbour has broken, with the
	// cause, and the session tries to go on over another stream, or waits for the neighbour
	// to do so. Both ends are told. RelayResumed or RelayLost follows, unless the session ends.
	RelayBroken func(peer mino.Address, cause error)

	// RelayResumed is called at both ends when a link that had broken goes on. Nothing was lost.
	RelayResumed func(peer mino.Address)

	// RelayLost is called when a neighbour is lost, with the cause.
	RelayLost func(peer mino.Address, cause error)

	// RelayClosed is called when the relay to a neighbour has been released, after
	// a loss or because the session has ended.
	RelayClosed func(peer mino.Address)

	// PacketSent is called when a packet has been handed to a neighbour.
	PacketSent func(to mino.Address, info PacketInfo)

	// PacketReceived is called when a packet has come from a neighbour.
	PacketReceived func(from mino.Address, info PacketInfo)

	// PacketDelivered is called when a packet has been put into the queue of this
	// session.
	PacketDelivered func(info PacketInfo)

	// PacketDropped is called once for each destination that this node reports as not reached,
	// to its own application or to the neighbour that sent the packet.
	PacketDropped func(err *DeliveryError)

	// PacketRefused is called for each packet that is refused for its provenance. The address is
	// that of the neighbour, as the overlay gave it; the error wraps [ErrStranger]. See
	// [WithNeighborsOnly].
	PacketRefused func(from mino.Address, err error)

	// MessageRejected is called when a packet in the queue holds a message that
	// cannot be decoded. It is also called when a large message of a neighbour has been dropped,
	// because nothing more of it has come for the time of [WithLiveness]; From is the neighbour then.
	MessageRejected func(err *MessageError)

	// QueueDepth is called when a packet has entered or left the queue, with the
	// number of packets in it and what they cost together, in bytes.
	QueueDepth func(packets, bytes int)
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
