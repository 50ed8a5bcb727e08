// Package json is the JSON of the packets and handshakes of the tree router, as every
// node of a network reads and writes it. Importing it registers both formats.
//
// The bytes are those that encoding/json writes of [PacketJSON] and [HandshakeJSON]. Any
// JSON of the same object is read; everything else is an error.
package json

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/minogrpc/session/router/internal/message"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde"
)

func init() {
	types.RegisterPacketFormat(serde.FormatJSON, packetFormat{})
	types.RegisterHandshakeFormat(serde.FormatJSON, handshakeFormat{})
}

// PacketJSON is a packet on the wire. The order of the fields is part of it.
type PacketJSON struct {
	// Source is the text of the address of the sender.
	Source []byte `json:"Source"`

	// Dest has the text of each destination. It is not nil, which would be null.
	Dest [][]byte `json:"Dest"`

	// Message is the serialized message, which may be of any format.
	Message []byte `json:"Message"`
}

// packetInput is a PacketJSON that comes from the network, as far as it is not read by
// scanPacket. See base64Text.
type packetInput struct {
	Source  base64Text   `json:"Source"`
	Dest    []base64Text `json:"Dest"`
	Message base64Text   `json:"Message"`
}

// packetFormat implements serde.FormatEngine for packets.
type packetFormat struct{}

// Encode implements serde.FormatEngine.
func (packetFormat) Encode(_ serde.Context, msg serde.Message) ([]byte, error) {
	packet, ok := msg.(*types.Packet)
	if !ok || packet == nil {
		return nil, fmt.Errorf("%T is no packet of the tree router", msg)
	}

	p := (*message.Packet)(packet)

	err := p.Sendable()
	if err != nil {
		return nil, err
	}

	return appendPacket(p), nil
}

// appendPacket returns the packet as encoding/json writes it, with one allocation of the
// right size: encoding/json holds three copies of the message for a moment.
func appendPacket(p *message.Packet) []byte {
	const around = len(`{"Source":"","Dest":[],"Message":""}`)

	enc := base64.StdEncoding
	source, dest := p.Source().Text, p.Players().Texts

	size := around + enc.EncodedLen(len(source)) + enc.EncodedLen(len(p.Message()))
	for _, text := range dest {
		size += enc.EncodedLen(len(text)) + len(`"",`)
	}

	data := append(make([]byte, 0, size), `{"Source":"`...)
	data = append(enc.AppendEncode(data, []byte(source)), `","Dest":[`...)

	for i, text := range dest {
		if i > 0 {
			data = append(data, ',')
		}

		data = append(enc.AppendEncode(append(data, '"'), []byte(text)), '"')
	}

	data = append(data, `],"Message":"`...)

	return append(enc.AppendEncode(data, p.Message()), `"}`...)
}

// Decode implements serde.FormatEngine.
func (packetFormat) Decode(ctx serde.Context, data []byte) (serde.Message, error) {
	r, err := readerOf(ctx)
	if err != nil {
		return nil, err
	}

	p, ok := scanPacket(r, data)
	if !ok {
		p, err = anyPacket(ctx, r, data)
	}

	if err != nil {
		return nil, err
	}

	return (*types.Packet)(p), nil
}

// anyPacket reads a packet in any form that encoding/json admits. A message of null is an
// empty one, as encoding/json has it.
func anyPacket(ctx serde.Context, r *message.Reader, data []byte) (*message.Packet, error) {
	var m packetInput

	err := unmarshal(ctx, r, data, &m)
	if err != nil {
		return nil, err
	}

	source, err := r.Parse(m.Source)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}

	if m.Dest == nil {
		return nil, errors.New("destinations are missing")
	}

	dest, _, err := message.ParseAll(r, m.Dest)
	if err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}

	return message.NewPacket(source, dest, m.Message), nil
}
