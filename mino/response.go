package mino

import (
	"errors"

	"github.com/minogrpc/session/serde"
)

// response implements Response.
type response struct {
	from Address
	msg  serde.Message
	err  error
}

// NewResponse returns a response with the answer of a player.
func NewResponse(from Address, msg serde.Message) Response {
	return response{from: from, msg: msg}
}

// NewResponseWithError returns a response with the reason why a player did not answer.
func NewResponseWithError(from Address, err error) Response {
	return response{from: from, err: err}
}

// GetFrom implements Response.
func (r response) GetFrom() Address {
	return r.from
}

// GetMessageOrError implements Response.
func (r response) GetMessageOrError() (serde.Message, error) {
	return r.msg, r.err
}

// errUnsupported is what UnsupportedHandler answers.
var errUnsupported = errors.New("the handler does not support this kind of request")

// UnsupportedHandler refuses calls and streams. A handler embeds it for the kind of request that it
// does not offer.
type UnsupportedHandler struct{}

// Process implements Handler. It returns an error.
func (UnsupportedHandler) Process(Request) (serde.Message, error) {
	return nil, errUnsupported
}

// Stream implements Handler. It returns an error.
func (UnsupportedHandler) Stream(Sender, Receiver) error {
	return errUnsupported
}
