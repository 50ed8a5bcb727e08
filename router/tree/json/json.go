package json

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router/internal/message"
	"github.com/minogrpc/session/router/tree/types"
	"github.com/minogrpc/session/serde"
)

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

// readerOf returns a reader for the address factory of the context.
func readerOf(ctx serde.Context) (*message.Reader, error) {
	f, ok := ctx.GetFactory(types.AddrKey{}).(mino.AddressFactory)
	if !ok {
		return nil, errors.New("the context has no address factory")
	}

	return message.ReaderOf(f), nil
}

// unmarshal fills the value with at most as many addresses as the reader admits.
func unmarshal(ctx serde.Context, r *message.Reader, data []byte, value any) error {
	// A comma stands between two addresses or two fields, and never in base64. There are
	// two at most around the addresses, and one less than these between them. Counting
	// them bounds the list before any of it is allocated.
	commas := bytes.Count(data, []byte{','})

	err := r.Admit(uint64(max(commas-1, 0)))
	if err != nil {
		return err
	}

	err = ctx.Unmarshal(data, value)
	if err != nil {
		return fmt.Errorf("failed to unmarshal: %w", err)
	}

	return nil
}
