package types

import (
	"fmt"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/internal/message"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/registry"
)

// handshakeFormats are the engines for handshakes.
var handshakeFormats = registry.NewSimpleRegistry()

// RegisterHandshakeFormat stores the engine that encodes and decodes handshakes in a
// format. Its Encode gets a [Handshake], and its Decode must return one. It may be called
// at any time.
func RegisterHandshakeFormat(format serde.Format, engine serde.FormatEngine) {
	handshakeFormats.Register(format, engine)
}

// Handshake is what a node tells a child about its part of the tree. It implements
// [router.Handshake]. It never changes, and the zero value is that of a leaf.
//
// The packages of the tree convert a handshake to what its fields are declared in. Nobody
// else can.
type Handshake message.Handshake

// NewHandshake returns the handshake for a child that is to reach the expected players,
// each of which counts once, in a tree of its own of the height. A leaf has a height of 0,
// or -1. Serialize fails for another height below 1 or above 64, and for an address that
// another node would refuse.
func NewHandshake(height int, expected ...mino.Address) Handshake {
	return Handshake(message.MakeHandshake(height, expected))
}

// GetHeight returns the largest number of hops from the child to a player.
func (h Handshake) GetHeight() int {
	return message.Handshake(h).Height()
}

// GetAddresses returns the players that the child is to reach. The caller must not change
// the slice.
func (h Handshake) GetAddresses() []mino.Address {
	return message.Handshake(h).Players().Addrs
}

// Serialize implements serde.Message. See [NewHandshake] for its errors.
func (h Handshake) Serialize(ctx serde.Context) ([]byte, error) {
	data, err := handshakeFormats.Get(ctx.GetFormat()).Encode(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("failed to encode handshake: %w", err)
	}

	return data, nil
}

// HandshakeFactory makes handshakes out of bytes. It implements [router.HandshakeFactory],
// and may be used from several goroutines at once.
type HandshakeFactory struct {
	reader *message.Reader
}

// NewHandshakeFactory returns a factory for handshakes with addresses of the given
// factory. It refuses one with more than 1,000,000 addresses; that of a router has the
// limit of the router.
func NewHandshakeFactory(f mino.AddressFactory) HandshakeFactory {
	return HandshakeFactory{reader: message.ReaderOf(f)}
}

// HandshakeOf implements router.HandshakeFactory. It returns an error for a height below
// -1 or above 64, for an address that nobody can be reached at, and for one that is there
// twice.
func (f HandshakeFactory) HandshakeOf(ctx serde.Context, data []byte) (router.Handshake, error) {
	return f.decode(ctx, f.reader, data)
}

// HandshakeOfAtMost implements router.BoundedHandshakeFactory. The limit of the factory holds as
// well.
func (f HandshakeFactory) HandshakeOfAtMost(ctx serde.Context, data []byte, addresses int) (router.Handshake, error) {
	return f.decode(ctx, f.reader.AtMost(addresses), data)
}

func (f HandshakeFactory) decode(ctx serde.Context, reader *message.Reader, data []byte) (router.Handshake, error) {
	ctx = serde.WithFactory(ctx, AddrKey{}, reader)

	msg, err := handshakeFormats.Get(ctx.GetFormat()).Decode(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("failed to decode handshake: %w", err)
	}

	_, ok := msg.(Handshake)
	if !ok {
		return nil, fmt.Errorf("failed to decode handshake: it is a %T", msg)
	}

	return msg, nil
}

// Deserialize implements serde.Factory.
func (f HandshakeFactory) Deserialize(ctx serde.Context, data []byte) (serde.Message, error) {
	return f.HandshakeOf(ctx, data)
}
