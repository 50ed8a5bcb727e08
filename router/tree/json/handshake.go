package json

import (
	"errors"
	"fmt"

	"github.com/minogrpc/session/router/internal/message"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde"
)

// HandshakeJSON is a handshake on the wire. The order of the fields is part of it.
type HandshakeJSON struct {
	// Height is that of the callee's own tree, from -1 to 64.
	Height int `json:"Height"`

	// Addresses has the text of each player that the callee must be able to route to. It
	// is not nil, which would be null.
	Addresses [][]byte `json:"Addresses"`
}

// handshakeInput is a HandshakeJSON that comes from the network. See base64Text.
type handshakeInput struct {
	// Height is a pointer in order to tell a missing one from a leaf.
	Height    *int         `json:"Height"`
	Addresses []base64Text `json:"Addresses"`
}

// handshakeFormat implements serde.FormatEngine for handshakes.
type handshakeFormat struct{}

// Encode implements serde.FormatEngine.
func (handshakeFormat) Encode(ctx serde.Context, msg serde.Message) ([]byte, error) {
	handshake, ok := msg.(types.Handshake)
	if !ok {
		return nil, fmt.Errorf("%T is no handshake of the tree router", msg)
	}

	h := message.Handshake(handshake)

	err := h.Sendable()
	if err != nil {
		return nil, err
	}

	texts := make([][]byte, h.Players().Len())
	for i, text := range h.Players().Texts {
		texts[i] = []byte(text)
	}

	return ctx.Marshal(HandshakeJSON{Height: h.Height(), Addresses: texts})
}

// Decode implements serde.FormatEngine.
func (handshakeFormat) Decode(ctx serde.Context, data []byte) (serde.Message, error) {
	r, err := readerOf(ctx)
	if err != nil {
		return nil, err
	}

	var m handshakeInput

	err = unmarshal(ctx, r, data, &m)
	if err != nil {
		return nil, err
	}

	if m.Height == nil {
		return nil, errors.New("height is missing")
	}

	err = message.CheckHeight(*m.Height)
	if err != nil {
		return nil, err
	}

	if m.Addresses == nil {
		return nil, errors.New("addresses are missing")
	}

	list, twice, err := message.ParseAll(r, m.Addresses)
	if err != nil {
		return nil, err
	}

	if twice != nil {
		return nil, fmt.Errorf("address %v is there twice", twice)
	}

	return types.Handshake(message.NewHandshake(*m.Height, list)), nil
}
