package main

import (
	"context"
	"errors"
	"io"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
)

// blob is a message that is its own bytes, and its own factory: what it costs to
// encode a message is no part of what is measured.
type blob []byte

// Serialize implements serde.Message.
func (b blob) Serialize(serde.Context) ([]byte, error) { return b, nil }

// Deserialize implements serde.Factory.
func (blob) Deserialize(_ serde.Context, data []byte) (serde.Message, error) { return blob(data), nil }

// payload returns bytes of a size that do not compress and are not all the same.
func payload(size int) blob {
	b := make(blob, size)
	for i := range b {
		b[i] = byte(i * 31)
	}

	return b
}

// echo answers each message with itself.
type echo struct{ mino.UnsupportedHandler }

// Stream implements mino.Handler.
func (echo) Stream(out mino.Sender, in mino.Receiver) error {
	for {
		from, msg, err := in.Recv(context.Background())
		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil {
			return err
		}

		out.Send(msg, from)
	}
}
