package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/minogrpc/session/serde"
)

// version is the first byte of every message of this package.
const version = 1

// maxText bounds the text of a failure or a refusal, in bytes, on both sides.
const maxText = 1 << 10

// kind is what a message is for. Zero stands for bytes that are no message of this package.
type kind byte

const (
	kindRequest kind = iota + 1
	kindAnswer
	kindFailure // In place of an answer: the text of an error of the protocol.
	kindRefusal // In place of an answer: the request has not come to the protocol.
)

// envelope is the one message of this package. On the wire it is the version, the kind, the id as a varint,
// and the payload.
type envelope struct {
	kind kind
	// id is that of the request, which the asker chooses. It is 0 for a request that wants no answer.
	id      uint64
	payload []byte
}

// Serialize implements serde.Message. The format of the context plays no role.
func (e envelope) Serialize(serde.Context) ([]byte, error) {
	data := make([]byte, 0, 2+binary.MaxVarintLen64+len(e.payload))
	data = append(data, version, byte(e.kind))
	data = binary.AppendUvarint(data, e.id)

	return append(data, e.payload...), nil
}

// envelopes is the factory. It returns no error, because then nobody would know who has sent the bytes:
// an envelope of no kind says that they are nonsense.
type envelopes struct{}

// Deserialize implements serde.Factory.
func (envelopes) Deserialize(_ serde.Context, data []byte) (serde.Message, error) {
	if len(data) < 2 || data[0] != version {
		return envelope{}, nil
	}

	e := envelope{kind: kind(data[1])}
	if e.kind < kindRequest || e.kind > kindRefusal {
		return envelope{}, nil
	}

	id, size := binary.Uvarint(data[2:])
	if size <= 0 || (id == 0 && e.kind != kindRequest) {
		return envelope{}, nil
	}

	e.id, e.payload = id, data[2+size:]

	return e, nil
}

// textEnvelope returns a failure or a refusal with as much of the error's text as may travel.
func textEnvelope(k kind, id uint64, err error) envelope {
	return envelope{kind: k, id: id, payload: []byte(shorten(err.Error()))}
}

// text returns the error that a failure or a refusal is about. It comes from another node, so it is bounded.
func (e envelope) text() error {
	return errors.New(shorten(string(e.payload)))
}

// shorten returns the text within its bound, and as valid UTF-8.
func shorten(text string) string {
	// What replaces a byte is longer than the byte.
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], string('\uFFFD'))

	return strings.ToValidUTF8(text[:min(len(text), maxText)], "")
}

// contain calls foreign code, and makes an error of a panic.
func contain(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()

	return f()
}
