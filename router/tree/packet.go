package tree

import (
	"fmt"
	"slices"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/registry"
)

// packetFormats are the engines for packets.
var packetFormats = registry.NewSimpleRegistry()

// packet implements router.Packet. The message and the arrays behind the
// destinations are shared with other packets and never written to.
type packet struct {
	source mino.Address

	// sourceText is empty when the source cannot be sent.
	sourceText string

	// dest holds each address once.
	dest    players
	message []byte
}

// GetSource implements router.Packet.
func (p *packet) GetSource() mino.Address {
	return p.source
}

// GetDestination implements router.Packet.
func (p *packet) GetDestination() []mino.Address {
	return p.dest.addrs
}

// GetMessage implements router.Packet.
func (p *packet) GetMessage() []byte {
	return p.message
}

// Slice implements router.Packet. It takes a time linear in the number of
// destinations. A slice that GetDestination returned before stays as it was.
func (p *packet) Slice(addr mino.Address) router.Packet {
	i := p.index(addr)
	if i < 0 {
		return nil
	}

	all, n := p.dest, p.dest.len()
	if n == 1 {
		p.dest = players{}

		return p.to(all)
	}

	p.dest = room(n - 1).withAll(all.slice(0, i)).withAll(all.slice(i+1, n))

	// A copy, so that what is queued here does not hold the list of the others.
	return p.to(room(1).with(all.addrs[i], all.texts[i]))
}

// index returns the place of the address among the destinations, -1 for none.
func (p *packet) index(addr mino.Address) int {
	if addr == nil || p.dest.len() == 0 {
		return -1
	}

	s := borrowScratch()
	defer scratches.Put(s)

	text, err := s.text(addr)
	if err != nil || len(text) == 0 {
		return -1
	}

	return slices.IndexFunc(p.dest.texts, func(t string) bool { return t == string(text) })
}

// to returns the same packet for other destinations.
func (p *packet) to(dest players) *packet {
	return &packet{source: p.source, sourceText: p.sourceText, dest: dest, message: p.message}
}

// sendable returns an error when another node would refuse the source or one of the
// destinations.
func (p *packet) sendable() error {
	if p.sourceText == "" {
		return fmt.Errorf("source %v cannot be sent", p.source)
	}

	return p.dest.sendable()
}

// Serialize implements serde.Message. It returns an error when the source or a
// destination is an address that another node would refuse.
func (p *packet) Serialize(ctx serde.Context) ([]byte, error) {
	data, err := packetFormats.Get(ctx.GetFormat()).Encode(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("failed to encode packet: %w", err)
	}

	return data, nil
}

// packetFactory implements router.PacketFactory.
type packetFactory struct {
	reader *reader
}

// PacketOf implements router.PacketFactory. Destinations that are there twice
// collapse.
func (f packetFactory) PacketOf(ctx serde.Context, data []byte) (router.Packet, error) {
	ctx = serde.WithFactory(ctx, readerKey{}, f.reader)

	msg, err := packetFormats.Get(ctx.GetFormat()).Decode(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("failed to decode packet: %w", err)
	}

	p, ok := msg.(*packet)
	if !ok {
		return nil, fmt.Errorf("failed to decode packet: %w", errForeign)
	}

	return p, nil
}

// Deserialize implements serde.Factory.
func (f packetFactory) Deserialize(ctx serde.Context, data []byte) (serde.Message, error) {
	return f.PacketOf(ctx, data)
}
