// Package router defines what a session asks of a router: which neighbour is the
// next hop for each destination of a packet.
//
// A [Router] is shared by all the sessions of a node and may be called from
// several goroutines at once. A [RoutingTable] belongs to one session, which
// calls its methods one at a time, while it holds the lock that decides the
// order of the packets. Therefore the methods of a table must neither block nor
// call back into the session; they need no lock of their own.
//
// What a router gets from the network (packets, handshakes) may come from
// anyone. Its factories check it and return an error, before they allocate
// anything of a size that the sender announced.
package router

import (
	"errors"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
)

// ErrUnreachable is what the error of a [Void] wraps when the table knows the
// destination but every way to it has failed, so that it may be worth trying
// later. A session reports it as unreachable; any other as no route.
var ErrUnreachable = errors.New("unreachable")

// Packet is a message with its source and its destinations. The message bytes
// are shared by all the packets that are made of one and never change. A packet
// that has been handed on is only read, by several goroutines at once: Slice alone
// changes it.
type Packet interface {
	serde.Message

	// GetSource returns the address of the sender.
	GetSource() mino.Address

	// GetDestination returns the addresses that the packet is still to reach. The
	// caller must not change the slice. Their order is the same at the node that gets
	// the packet, which reports on them by their place; see [PacketFactory].
	GetDestination() []mino.Address

	// GetMessage returns the bytes of the message, which nobody may change.
	GetMessage() []byte

	// Slice takes the address out of the destinations and returns a packet for it
	// alone, or nil when it is not among them.
	Slice(addr mino.Address) Packet
}

// PacketFactory makes packets out of bytes.
type PacketFactory interface {
	serde.Factory

	// PacketOf returns the packet that the data stand for, with the destinations in
	// the order that they had in the packet that was serialized: the outcomes go back
	// to its sender by their place, and in another order they would be those of
	// others. The packet may keep the data.
	PacketOf(ctx serde.Context, data []byte) (Packet, error)
}

// BinaryPacket is what a [Packet] may offer so that two nodes of this library can
// exchange it without decoding or copying its message. See [BinaryPacketFactory].
type BinaryPacket interface {
	Packet

	// AppendHeader appends the binary form of everything but the message to b, with the
	// destinations in the order of GetDestination, and returns the extended slice. It
	// returns b and an error when the packet cannot be sent.
	AppendHeader(b []byte) ([]byte, error)
}

// BinaryPacketFactory is what a [PacketFactory] may offer whose packets are each a
// [BinaryPacket]. It is used with a node whose factory has a form of the same name.
type BinaryPacketFactory interface {
	PacketFactory

	// BinaryFormat returns the name of the form, in ASCII letters and digits. Two
	// factories that give the same name understand each other: a form that changes
	// gets another name.
	BinaryFormat() string

	// PacketOfHeader returns the packet of a header that AppendHeader has appended
	// to nothing, and of a message. The destinations have the order that they had, as
	// in PacketOf. The packet may keep both slices: nobody changes them, and the message
	// is not copied.
	PacketOfHeader(header, message []byte) (Packet, error)
}

// Handshake is what a parent tells a child about its part of the routing.
type Handshake interface {
	serde.Message
}

// HandshakeFactory makes handshakes out of bytes.
type HandshakeFactory interface {
	serde.Factory

	// HandshakeOf returns the handshake that the data stand for.
	HandshakeOf(ctx serde.Context, data []byte) (Handshake, error)
}

// BoundedHandshakeFactory is what a [HandshakeFactory] may implement, so that an overlay can
// bound the addresses of a handshake that comes from the network.
type BoundedHandshakeFactory interface {
	HandshakeFactory

	// HandshakeOfAtMost is HandshakeOf, and returns an error for more addresses than that before
	// it allocates anything for them.
	HandshakeOfAtMost(ctx serde.Context, data []byte, addresses int) (Handshake, error)
}

// Router makes routing tables.
type Router interface {
	// GetPacketFactory returns the factory for the packets of the router.
	GetPacketFactory() PacketFactory

	// GetHandshakeFactory returns the factory for the handshakes of the router.
	GetHandshakeFactory() HandshakeFactory

	// New returns the table of the first node of a stream, which is to reach all
	// the players. It is also used, without players, for an orchestrator, whose
	// packets all go to its parent. Its own address may then be that of a player on
	// the same node, so that packets for it go to the parent as well.
	New(players mino.Players, me mino.Address) (RoutingTable, error)

	// GenerateTableFrom returns the table of a node that was given a handshake.
	GenerateTableFrom(Handshake) (RoutingTable, error)
}

// Routes maps the next hop to what goes there. A nil key means the parent, which
// is where a table sends what it does not know; the session says no route where
// there is no parent to know more.
type Routes map[mino.Address]Packet

// Void is the reason why there is no route to a destination.
type Void struct {
	Error error
}

// Voids maps the destinations without a route to the reason.
type Voids map[mino.Address]Void

// RoutingTable is the part of the routing that one session knows.
type RoutingTable interface {
	// Make returns a new packet. It keeps neither the slice nor a copy of msg, but
	// msg itself.
	Make(src mino.Address, to []mino.Address, msg []byte) Packet

	// PrepareHandshakeFor returns the handshake for a neighbour that Forward named
	// as a next hop. It is serialized later, in another goroutine, and so must not
	// change with the table.
	PrepareHandshakeFor(mino.Address) Handshake

	// Forward splits a packet by the next hop. Each destination is in exactly one
	// of the routes, or in the voids; a nil map is an empty one. It does not change
	// the packet, and takes a time linear in the number of destinations.
	Forward(packet Packet) (Routes, Voids)

	// OnFailure tells the table that a neighbour has been lost. It returns nil when
	// Forward will find another route for what goes through that neighbour, and an
	// error when there is none. A neighbour that has come back is reported by
	// nobody: the table lets it be tried again after a pause of its choice.
	OnFailure(to mino.Address) error
}

// Subtree is what a [RoutingTable] may offer so that a session can look after the
// nodes behind a lost neighbour before the next packet for one of them.
type Subtree interface {
	// Descendants returns the addresses that are reached through the gateway,
	// without the gateway itself.
	Descendants(gateway mino.Address) []mino.Address
}

// Weighted is what a [RoutingTable] may offer so that a session can charge its memory to the budget
// of the node. A table without it counts for nothing.
type Weighted interface {
	// Weight estimates what the table takes in memory, in bytes. A session calls it once, when it
	// gets the table. It takes constant time.
	Weight() int
}

// Sources is what a [RoutingTable] may offer so that a session can refuse a packet whose
// source is a lie: one that cannot have come over the link that it came by. Like all
// methods of a table it neither blocks nor calls back. It takes no memory, and a time
// that does not grow with the number of players: it is called for each packet.
type Sources interface {
	// MayCome tells whether a packet of the source may come from a neighbour, where
	// nil is the parent.
	//
	// A neighbour below may send its own packets and those of the players that are
	// reached through it, or ever have been: when it is lost others take its place, but
	// it may be there all the same, and so may what it has passed on before. The parent
	// may send those of everybody who is neither this node nor below it. A neighbour
	// below that has been lost may have found another parent since, so that its packets,
	// and those of the players behind it, may come from above as well.
	//
	// A table need not know its own node; the session does. A nil source, and a
	// neighbour that the table does not know, are false.
	MayCome(source, from mino.Address) bool
}
