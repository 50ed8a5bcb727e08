// Package router defines what a session needs from a router: which neighbour is the next hop for
// each destination of a packet.
//
// All the sessions of a node share a [Router], which may be called from several goroutines at once.
// A [RoutingTable] belongs to one session. The session calls its methods one at a time, while it
// holds the lock that decides the order of the packets. Therefore the methods of a table must
// neither block nor call back into the session; they need no lock of their own.
//
// The packets and handshakes that a router gets from the network may come from anyone. The
// factories of the router check them and return an error, before they allocate anything of a size
// that the sender announced.
package router

import (
	"errors"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
)

// ErrUnreachable is wrapped by the error of a [Void] when the table knows the destination but every
// way to it has failed, so that a later attempt may succeed. A session reports such a destination
// as unreachable, and any other in the voids as no route.
var ErrUnreachable = errors.New("unreachable")

// Packet is a message with its source and its destinations. All packets made from one packet share
// the bytes of its message, which never change. Once a packet has been handed on, several
// goroutines may read it at once, and nobody changes it. Slice is the only method that changes a
// packet.
type Packet interface {
	serde.Message

	// GetSource returns the address of the sender.
	GetSource() mino.Address

	// GetDestination returns the addresses that the packet is still to reach. The caller must not
	// change the slice. The order is the same at the node that gets the packet, because that node
	// reports on the destinations by their place; see [PacketFactory].
	GetDestination() []mino.Address

	// GetMessage returns the bytes of the message, which nobody may change.
	GetMessage() []byte

	// Slice removes the address from the destinations and returns a packet for that address alone.
	// It returns nil when the address is not among the destinations.
	Slice(addr mino.Address) Packet
}

// PacketFactory makes packets from bytes.
type PacketFactory interface {
	serde.Factory

	// PacketOf returns the packet that the data stand for. The destinations have the order that
	// they had in the packet that was serialized: outcomes go back to its sender by their place,
	// and in another order the sender would take them for those of other destinations. The packet
	// may keep the data.
	PacketOf(ctx serde.Context, data []byte) (Packet, error)
}

// BinaryPacket is an optional interface of a [Packet]. With it two nodes of this library can
// exchange the packet without decoding or copying its message. See [BinaryPacketFactory].
type BinaryPacket interface {
	Packet

	// AppendHeader appends the binary form of everything but the message to b, with the
	// destinations in the order of GetDestination, and returns the extended slice. It
	// returns b and an error when the packet cannot be sent.
	AppendHeader(b []byte) ([]byte, error)
}

// BinaryPacketFactory is an optional interface of a [PacketFactory] all of whose packets are
// [BinaryPacket] values. A session uses it with a neighbour whose factory has a form of the same
// name.
type BinaryPacketFactory interface {
	PacketFactory

	// BinaryFormat returns the name of the form, in ASCII letters and digits. Two factories that
	// return the same name understand each other: a form that changes must get another name.
	BinaryFormat() string

	// PacketOfHeader returns the packet of a header and a message. The header is what AppendHeader
	// has appended to an empty slice. The destinations have the order that they had, as in
	// PacketOf. The packet may keep both slices: nobody changes them, and the message is not
	// copied.
	PacketOfHeader(header, message []byte) (Packet, error)
}

// Handshake is what a parent tells a child about the child's part of the routing.
type Handshake interface {
	serde.Message
}

// HandshakeFactory makes handshakes from bytes.
type HandshakeFactory interface {
	serde.Factory

	// HandshakeOf returns the handshake that the data stand for.
	HandshakeOf(ctx serde.Context, data []byte) (Handshake, error)
}

// BoundedHandshakeFactory is an optional interface of a [HandshakeFactory]. With it an overlay can
// bound the number of addresses in a handshake that comes from the network.
type BoundedHandshakeFactory interface {
	HandshakeFactory

	// HandshakeOfAtMost is HandshakeOf with a bound on the number of addresses. It returns an error
	// for more addresses, before it allocates anything for them.
	HandshakeOfAtMost(ctx serde.Context, data []byte, addresses int) (Handshake, error)
}

// Router makes routing tables.
type Router interface {
	// GetPacketFactory returns the factory for the packets of the router.
	GetPacketFactory() PacketFactory

	// GetHandshakeFactory returns the factory for the handshakes of the router.
	GetHandshakeFactory() HandshakeFactory

	// New returns the table of the first node of a stream, which is to reach all the players. An
	// overlay also calls it, without players, for an orchestrator, whose packets all go to its
	// parent. The orchestrator's own address may then be that of a player on the same node, so
	// packets for that address go to the parent as well.
	New(players mino.Players, me mino.Address) (RoutingTable, error)

	// GenerateTableFrom returns the table of a node that has received a handshake.
	GenerateTableFrom(Handshake) (RoutingTable, error)
}

// Routes maps each next hop to the packet that goes there. A nil key means the parent. A table
// sends destinations that it does not know to the parent; where there is no parent, the session
// reports no route.
type Routes map[mino.Address]Packet

// Void is the reason why there is no route to a destination.
type Void struct {
	Error error
}

// Voids maps each destination without a route to the reason.
type Voids map[mino.Address]Void

// RoutingTable is what one session knows about the routes.
type RoutingTable interface {
	// Make returns a new packet. It does not keep the slice. It keeps msg itself, not a copy.
	Make(src mino.Address, to []mino.Address, msg []byte) Packet

	// PrepareHandshakeFor returns the handshake for a neighbour that Forward named as a next hop.
	// The session serializes the handshake later, in another goroutine, so the handshake must not
	// change with the table.
	PrepareHandshakeFor(mino.Address) Handshake

	// Forward splits a packet by the next hop. Each destination is in exactly one of the routes, or
	// in the voids; a nil map counts as empty. Forward does not change the packet, and takes time
	// linear in the number of destinations.
	Forward(packet Packet) (Routes, Voids)

	// OnFailure tells the table that a neighbour has been lost. It returns nil if Forward will find
	// another route for what goes through that neighbour, and an error if there is none. Nothing
	// tells the table that a neighbour has come back: the table allows another attempt after a
	// pause of its choice.
	OnFailure(to mino.Address) error
}

// NextHop is an optional interface of a [RoutingTable]. With it a session needs neither a map of routes
// nor a copy of a packet that goes to one neighbour as it is, as most packets do.
type NextHop interface {
	// NextHop returns true, and the next hop, if Forward would send all the destinations of the packet
	// there; nil is the parent. It returns false when they go several ways, when one of them would be
	// among the voids, and whenever it would have to search for the answer: the session asks Forward
	// then. NextHop does not change the packet, and allocates no memory. Its time is linear in the
	// number of destinations.
	NextHop(packet Packet) (hop mino.Address, one bool)
}

// Maker is an optional interface of a [RoutingTable]. With it a session makes a packet before it takes
// its lock, so that the goroutines that send at once do not wait for each other that long.
type Maker interface {
	// MakeAnytime is Make, but may be called at any time and from several goroutines at once, also
	// while another method of the table runs. It depends on nothing that a loss changes.
	MakeAnytime(src mino.Address, to []mino.Address, msg []byte) Packet
}

// Subtree is an optional interface of a [RoutingTable]. With it a session can look after the nodes
// behind a lost neighbour before the next packet for one of them.
type Subtree interface {
	// Descendants returns the addresses that packets reach through the gateway, without the gateway
	// itself.
	Descendants(gateway mino.Address) []mino.Address
}

// Weighted is an optional interface of a [RoutingTable]. With it a session can charge the memory of
// the table to the budget of the node. A table without it costs the budget nothing.
type Weighted interface {
	// Weight estimates how much memory the table takes, in bytes. A session calls it once, when it
	// gets the table. It takes constant time.
	Weight() int
}

// Sources is an optional interface of a [RoutingTable]. With it a session can refuse a packet with
// a false source: one that cannot have come over the link that brought the packet. Like all methods
// of a table, MayCome neither blocks nor calls back. It allocates no memory, and its time does not
// grow with the number of players: the session calls it for each packet.
type Sources interface {
	// MayCome tells whether a packet with the source may come from the neighbour. A nil neighbour
	// is the parent.
	//
	// A neighbour below may send its own packets and those of the players that are reached through
	// it, or ever have been. When the neighbour is lost, others take its place, but it may still be
	// there, and so may the packets that it has passed on before. The parent may send the packets
	// of every node that is neither this node nor below it. A lost neighbour below may have found
	// another parent since, so its packets, and those of the players behind it, may come from above
	// as well.
	//
	// A table need not know its own node; the session does. MayCome returns false for a nil source,
	// and for a neighbour that the table does not know.
	MayCome(source, from mino.Address) bool
}
