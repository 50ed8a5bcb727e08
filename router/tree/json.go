package tree

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/minogrpc/session/serde"
)

func init() {
	packetFormats.Register(serde.FormatJSON, packetFormat{})
	handshakeFormats.Register(serde.FormatJSON, handshakeFormat{})
}

// packetJSON is a packet on the wire, as far as it is not read by scanPacket. The
// order of the fields is part of it.
type packetJSON struct {
	Source  base64Text   `json:"Source"`
	Dest    []base64Text `json:"Dest"`
	Message base64Text   `json:"Message"`
}

// handshakeJSON is a handshake on the wire. The order of the fields is part of it.
type handshakeJSON struct {
	// Height is a pointer in order to tell a missing one from a leaf.
	Height    *int
	Addresses []base64Text
}

// base64Text is bytes as encoding/json writes them. It reads nothing but a string,
// where plain bytes would also read a list of numbers.
type base64Text []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *base64Text) UnmarshalText(text []byte) error {
	decoded, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil {
		return fmt.Errorf("base64: %w", err)
	}

	*b = decoded

	return nil
}

// readerOf returns the reader that the context carries.
func readerOf(ctx serde.Context) (*reader, error) {
	r, ok := ctx.GetFactory(readerKey{}).(*reader)
	if !ok {
		return nil, errors.New("the context has no address factory")
	}

	return r, nil
}

// unmarshal fills the value with at most as many addresses as the reader admits.
func (r *reader) unmarshal(ctx serde.Context, data []byte, value any) error {
	// A comma stands between two addresses or two fields, and never in base64.
	// Counting them bounds the list before any of it is allocated.
	if bytes.Count(data, []byte{','}) > r.max+1 {
		return r.tooMany()
	}

	err := ctx.Unmarshal(data, value)
	if err != nil {
		return fmt.Errorf("failed to unmarshal: %w", err)
	}

	return nil
}

// packetFormat is the JSON of packets.
type packetFormat struct{}

// Encode implements serde.FormatEngine.
func (packetFormat) Encode(_ serde.Context, msg serde.Message) ([]byte, error) {
	p, ok := msg.(*packet)
	if !ok {
		return nil, fmt.Errorf("%w: %T", errForeign, msg)
	}

	err := p.sendable()
	if err != nil {
		return nil, err
	}

	return p.json(), nil
}

// json returns the packet as encoding/json writes it, with one allocation of the
// right size: encoding/json holds three copies of the message for a moment.
func (p *packet) json() []byte {
	const around = len(`{"Source":"","Dest":[],"Message":""}`)

	enc := base64.StdEncoding

	size := around + enc.EncodedLen(len(p.sourceText)) + enc.EncodedLen(len(p.message))
	for _, text := range p.dest.texts {
		size += enc.EncodedLen(len(text)) + len(`"",`)
	}

	data := append(make([]byte, 0, size), `{"Source":"`...)
	data = append(enc.AppendEncode(data, []byte(p.sourceText)), `","Dest":[`...)

	for i, text := range p.dest.texts {
		if i > 0 {
			data = append(data, ',')
		}

		data = append(enc.AppendEncode(append(data, '"'), []byte(text)), '"')
	}

	data = append(data, `],"Message":"`...)

	return append(enc.AppendEncode(data, p.message), `"}`...)
}

// Decode implements serde.FormatEngine. A message of null is an empty one, as
// encoding/json has it.
func (packetFormat) Decode(ctx serde.Context, data []byte) (serde.Message, error) {
	r, err := readerOf(ctx)
	if err != nil {
		return nil, err
	}

	p, ok := r.scanPacket(data)
	if ok {
		return p, nil
	}

	return r.anyPacket(ctx, data)
}

// anyPacket reads a packet in any form that encoding/json admits.
func (r *reader) anyPacket(ctx serde.Context, data []byte) (serde.Message, error) {
	var m packetJSON

	err := r.unmarshal(ctx, data, &m)
	if err != nil {
		return nil, err
	}

	source, err := r.parse(m.Source)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}

	if m.Dest == nil {
		return nil, errors.New("destinations are missing")
	}

	dest, _, err := r.parseAll(m.Dest)
	if err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}

	return &packet{source: source.addr, sourceText: source.text, dest: dest, message: m.Message}, nil
}

// handshakeFormat is the JSON of handshakes.
type handshakeFormat struct{}

// Encode implements serde.FormatEngine.
func (handshakeFormat) Encode(ctx serde.Context, msg serde.Message) ([]byte, error) {
	h, ok := msg.(*handshake)
	if !ok {
		return nil, fmt.Errorf("%w: %T", errForeign, msg)
	}

	err := h.players.sendable()
	if err != nil {
		return nil, err
	}

	texts := make([]base64Text, h.players.len())
	for i, text := range h.players.texts {
		texts[i] = base64Text(text)
	}

	return ctx.Marshal(handshakeJSON{Height: &h.height, Addresses: texts})
}

// Decode implements serde.FormatEngine.
func (handshakeFormat) Decode(ctx serde.Context, data []byte) (serde.Message, error) {
	var m handshakeJSON

	r, err := readerOf(ctx)
	if err != nil {
		return nil, err
	}

	err = r.unmarshal(ctx, data, &m)
	if err != nil {
		return nil, err
	}

	if m.Height == nil {
		return nil, errors.New("height is missing")
	}

	if *m.Height < -1 || *m.Height > MaxHeight {
		return nil, fmt.Errorf("height %d is not between -1 and %d", *m.Height, MaxHeight)
	}

	if m.Addresses == nil {
		return nil, errors.New("addresses are missing")
	}

	list, twice, err := r.parseAll(m.Addresses)
	if err != nil {
		return nil, err
	}

	if twice != nil {
		return nil, fmt.Errorf("address %v is there twice", twice)
	}

	return &handshake{height: *m.Height, players: list}, nil
}
