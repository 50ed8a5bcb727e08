package existing

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// errUTF8 is what a reader of proto3 says of a string field that is none.
var errUTF8 = errors.New("string field contains invalid UTF-8")

// The messages of the service. All their fields are byte slices or strings, so that one
// scanner reads them all.
type (
	// certificateChain names a node and the certificates that it presents.
	certificateChain struct{ address, value []byte }

	// joinRequest is what a newcomer shows to be let in.
	joinRequest struct {
		token string
		chain certificateChain
	}

	// message is a question or an answer of a Call.
	message struct{ from, payload []byte }

	// ack is the answer to a Forward, with a text for each failure.
	ack struct{ errors []string }
)

// appendBytes adds a field. Proto3 leaves out an empty one.
func appendBytes(data []byte, number protowire.Number, value []byte) []byte {
	if len(value) == 0 {
		return data
	}

	return appendElement(data, number, value)
}

// appendElement adds a field that is there even when it is empty, as an element of a
// repeated field is.
func appendElement(data []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(data, number, protowire.BytesType), value)
}

// scan calls the function for each length-delimited field. It skips all others, because a
// node that does not know a field must not mind it.
func scan(data []byte, take func(number int, value []byte) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}

		data = data[n:]

		size := protowire.ConsumeFieldValue(number, kind, data)
		if size < 0 {
			return protowire.ParseError(size)
		}

		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(data)
			if err := take(int(number), value); err != nil {
				return err
			}
		}

		data = data[size:]
	}

	return nil
}

func (c *certificateChain) encode() []byte {
	return appendBytes(appendBytes(nil, 1, c.address), 2, c.value)
}

func (c *certificateChain) decode(data []byte) error {
	return scan(data, func(number int, value []byte) error {
		switch number {
		case 1:
			c.address = value
		case 2:
			c.value = value
		}

		return nil
	})
}

func (r *joinRequest) encode() []byte {
	return appendElement(appendBytes(nil, 1, []byte(r.token)), 2, r.chain.encode())
}

func (r *joinRequest) decode(data []byte) error {
	return scan(data, func(number int, value []byte) error {
		switch {
		case number == 1 && !utf8.Valid(value):
			return errUTF8
		case number == 1:
			r.token = string(value)
		case number == 2:
			return r.chain.decode(value)
		}

		return nil
	})
}

// encodePeers writes a JoinResponse.
func encodePeers(peers []certificateChain) []byte {
	var data []byte
	for _, peer := range peers {
		data = appendElement(data, 1, peer.encode())
	}

	return data
}

// decodePeers reads a JoinResponse.
func decodePeers(data []byte) ([]certificateChain, error) {
	var peers []certificateChain

	err := scan(data, func(number int, value []byte) error {
		if number != 1 {
			return nil
		}

		var peer certificateChain

		err := peer.decode(value)
		peers = append(peers, peer)

		return err
	})

	return peers, err
}

func (m *message) encode() []byte {
	return appendBytes(appendBytes(nil, 1, m.from), 2, m.payload)
}

func (m *message) decode(data []byte) error {
	return scan(data, func(number int, value []byte) error {
		switch number {
		case 1:
			m.from = value
		case 2:
			m.payload = value
		}

		return nil
	})
}

// encodePacket writes a Packet around what the router has serialized.
func encodePacket(serialized []byte) []byte {
	return appendBytes(nil, 1, serialized)
}

// decodePacket returns what is inside a Packet.
func decodePacket(data []byte) (serialized []byte, err error) {
	err = scan(data, func(number int, value []byte) error {
		if number == 1 {
			serialized = value
		}

		return nil
	})

	return serialized, err
}

func (a *ack) encode() []byte {
	var data []byte
	for _, text := range a.errors {
		data = appendElement(data, 1, []byte(text))
	}

	return data
}

func (a *ack) decode(data []byte) error {
	return scan(data, func(number int, value []byte) error {
		switch {
		case number != 1:
		case !utf8.Valid(value):
			return errUTF8
		default:
			a.errors = append(a.errors, string(value))
		}

		return nil
	})
}
