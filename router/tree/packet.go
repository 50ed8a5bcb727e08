package tree

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/registry"
)

// packetFormats are the engines for packets.
var packetFormats = registry.New()

// packet implements router.Packet. The message and the arrays behind the
// destinations are shared with other packets and never written to.
type packet struct {
	source mino.Address

	// sourceText is nil when the source cannot be sent.
	sourceText []byte

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
	if addr == nil {
		return nil
	}

	text, err := addr.MarshalText()
	if err != nil || len(text) == 0 {
		return nil
	}

	i := slices.IndexFunc(p.dest.texts, func(t []byte) bool { return bytes.Equal(t, text) })
	if i < 0 {
		return nil
	}

	alone := p.forNobody()
	alone.dest = p.dest.slice(i, i+1)

	p.dest = players{
		addrs: slices.Concat(p.dest.addrs[:i], p.dest.addrs[i+1:]),
		texts: slices.Concat(p.dest.texts[:i], p.dest.texts[i+1:]),
	}

	return alone
}

// forNobody returns the same packet without destinations.
func (p *packet) forNobody() *packet {
	return &packet{source: p.source, sourceText: p.sourceText, message: p.message}
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
	reader reader
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
