package tree

import (
	"fmt"

	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/registry"
)

// handshakeFormats are the engines for handshakes.
var handshakeFormats = registry.NewSimpleRegistry()

// handshake implements router.Handshake. It is never written to after it was made.
type handshake struct {
	// height is that of the callee's own tree. Zero or less is a leaf; where there
	// are addresses nonetheless it counts as one, because nodes of other
	// implementations send that.
	height int

	// players are those that the callee must be able to route to, each once and in
	// a form that can be sent.
	players players
}

// Serialize implements serde.Message.
func (h *handshake) Serialize(ctx serde.Context) ([]byte, error) {
	data, err := handshakeFormats.Get(ctx.GetFormat()).Encode(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("failed to encode handshake: %w", err)
	}

	return data, nil
}

// handshakeFactory implements router.HandshakeFactory.
type handshakeFactory struct {
	reader *reader
}

// HandshakeOf implements router.HandshakeFactory.
func (f handshakeFactory) HandshakeOf(ctx serde.Context, data []byte) (router.Handshake, error) {
	ctx = serde.WithFactory(ctx, readerKey{}, f.reader)

	msg, err := handshakeFormats.Get(ctx.GetFormat()).Decode(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("failed to decode handshake: %w", err)
	}

	h, ok := msg.(*handshake)
	if !ok {
		return nil, fmt.Errorf("failed to decode handshake: %w", errForeign)
	}

	return h, nil
}

// Deserialize implements serde.Factory.
func (f handshakeFactory) Deserialize(ctx serde.Context, data []byte) (serde.Message, error) {
	return f.HandshakeOf(ctx, data)
}
