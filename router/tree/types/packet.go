// Package types has the messages of the tree router: the packets, and the handshakes by
// which a parent tells a child its part of the tree. The router uses these types itself,
// so that other routers and tests of the same protocol can make and read them.
//
// What comes from the network is checked before anything of its size is allocated, and a
// bad one is an error of its factory: see [PacketFactory] and [HandshakeFactory].
//
// A message is encoded by the engine that is registered for the format of the context.
// The json package next to this one registers that of JSON when it is imported, as the
// tree package does.
package types

import (
	"fmt"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/internal/message"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/registry"
)

// packetFormats are the engines for packets.
var packetFormats = registry.NewSimpleRegistry()

// RegisterPacketFormat stores the engine that encodes and decodes packets in a format. Its
// Encode gets a [*Packet], and its Decode must return one. It may be called at any time.
func RegisterPacketFormat(format serde.Format, engine serde.FormatEngine) {
	packetFormats.Register(format, engine)
}

// AddrKey is the key of the address factory in the context of a format engine. That
// factory is a [mino.AddressFactory].
type AddrKey struct{}

// Packet is a message for some players. It implements [router.BinaryPacket]. It may be
// read from several goroutines at once, while nobody calls Add or Slice.
//
// The packages of the tree convert a packet to what its fields are declared in. Nobody
// else can.
type Packet message.Packet

// NewPacket returns a packet for the destinations, each of which counts once. It keeps
// msg, but not dest. An address that cannot be sent, such as nil, makes Serialize fail:
// a routing table takes such destinations out before.
func NewPacket(src mino.Address, msg []byte, dest ...mino.Address) *Packet {
	return (*Packet)(message.MakePacket(nil, src, dest, msg))
}

// Add appends a destination, unless it is there already. It takes a time linear in the
// number of destinations; NewPacket is faster for many. A slice that GetDestination
// returned before stays as it was.
func (p *Packet) Add(to mino.Address) {
	(*message.Packet)(p).Add(to)
}

// GetSource implements router.Packet.
func (p *Packet) GetSource() mino.Address {
	return (*message.Packet)(p).Source().Addr
}

// GetDestination implements router.Packet. The caller must not change the slice.
func (p *Packet) GetDestination() []mino.Address {
	return (*message.Packet)(p).Players().Addrs
}

// GetMessage implements router.Packet.
func (p *Packet) GetMessage() []byte {
	return (*message.Packet)(p).Message()
}

// Slice implements router.Packet. It takes a time linear in the number of destinations.
// A slice that GetDestination returned before stays as it was.
func (p *Packet) Slice(addr mino.Address) router.Packet {
	alone := (*message.Packet)(p).Slice(addr)
	if alone == nil {
		return nil
	}

	return (*Packet)(alone)
}

// AppendHeader implements router.BinaryPacket. A packet has exactly one header. It returns
// an error when the source or a destination is an address that another node would refuse.
func (p *Packet) AppendHeader(b []byte) ([]byte, error) {
	return (*message.Packet)(p).AppendHeader(b)
}

// Serialize implements serde.Message. It returns an error when the source or a
// destination is an address that another node would refuse.
func (p *Packet) Serialize(ctx serde.Context) ([]byte, error) {
	data, err := packetFormats.Get(ctx.GetFormat()).Encode(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("failed to encode packet: %w", err)
	}

	return data, nil
}

// PacketFactory makes packets out of bytes. It implements [router.BinaryPacketFactory],
// and may be used from several goroutines at once.
type PacketFactory struct {
	reader *message.Reader
}

// NewPacketFactory returns a factory for packets between addresses of the given factory.
// It refuses a packet to more than 1,000,000 destinations; that of a router has the limit
// of the router.
func NewPacketFactory(f mino.AddressFactory) PacketFactory {
	return PacketFactory{reader: message.ReaderOf(f)}
}

// PacketOf implements router.PacketFactory. Destinations that are there twice
// collapse. It returns an error for an address that nobody can be reached at.
func (f PacketFactory) PacketOf(ctx serde.Context, data []byte) (router.Packet, error) {
	ctx = serde.WithFactory(ctx, AddrKey{}, f.reader)

	msg, err := packetFormats.Get(ctx.GetFormat()).Decode(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("failed to decode packet: %w", err)
	}

	p, ok := msg.(*Packet)
	if !ok || p == nil {
		return nil, fmt.Errorf("failed to decode packet: it is a %T", msg)
	}

	return p, nil
}

// Deserialize implements serde.Factory.
func (f PacketFactory) Deserialize(ctx serde.Context, data []byte) (serde.Message, error) {
	return f.PacketOf(ctx, data)
}

// BinaryFormat implements router.BinaryPacketFactory.
func (f PacketFactory) BinaryFormat() string {
	return message.BinaryFormat
}

// PacketOfHeader implements router.BinaryPacketFactory. The packet keeps nothing of
// the header. It returns an error for a destination that is there twice, because no
// packet has such a header.
func (f PacketFactory) PacketOfHeader(header, msg []byte) (router.Packet, error) {
	p, err := f.reader.ReadHeader(header, msg)
	if err != nil {
		return nil, fmt.Errorf("failed to decode packet: %w", err)
	}

	return (*Packet)(p), nil
}
