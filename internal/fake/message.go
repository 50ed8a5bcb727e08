// Package fake has the small stand-ins that the tests of several packages share.
package fake

import (
	"errors"

	"github.com/minogrpc/session/serde"
)

// Message is a message that is its own bytes.
type Message string

// Serialize implements serde.Message.
func (m Message) Serialize(serde.Context) ([]byte, error) {
	return []byte(m), nil
}

// ErrMessage is what the bad messages and factories return.
var ErrMessage = errors.New("fake: bad message")

// BadMessage cannot be serialized.
type BadMessage struct{}

// Serialize implements serde.Message.
func (BadMessage) Serialize(serde.Context) ([]byte, error) {
	return nil, ErrMessage
}

// Bad is the text of the message that the factory refuses, and Panic of the one
// that makes it panic.
const (
	Bad   = "bad"
	Panic = "panic"
)

// MessageFactory makes messages.
type MessageFactory struct{}

// Deserialize implements serde.Factory.
func (MessageFactory) Deserialize(_ serde.Context, data []byte) (serde.Message, error) {
	switch string(data) {
	case Bad:
		return nil, ErrMessage
	case Panic:
		panic("fake: panic in the factory")
	default:
		return Message(data), nil
	}
}
