package protocol

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Codec encodes and decodes the requests and the answers of a procedure. All nodes must have the same. Its methods
// are called from several goroutines at once. A panic of Unmarshal is an error.
type Codec interface {
	// Marshal returns the bytes of the value that v points to. v is a *Req or a *Resp of the procedure.
	Marshal(v any) ([]byte, error)

	// Unmarshal fills the value that v points to. The data come from another node, and so from anyone. The
	// value may keep the data.
	Unmarshal(data []byte, v any) error
}

// JSON is the default [Codec]: package encoding/json.
type JSON struct{}

// Marshal implements [Codec].
func (JSON) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

// Unmarshal implements [Codec].
func (JSON) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// errNil is why a protocol gets no nil: what it does next is to look into the value.
var errNil = errors.New("the value is nil")

// encode returns the bytes of a value.
func encode[T any](c Codec, value T) ([]byte, error) {
	data, err := c.Marshal(&value)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}

	return data, nil
}

// decode returns the value of bytes that come from another node. It never returns a nil pointer or interface
// without an error.
func decode[T any](c Codec, data []byte) (value T, err error) {
	err = contain(func() error { return c.Unmarshal(data, &value) })
	if err == nil && isNil(reflect.ValueOf(&value).Elem()) {
		err = errNil
	}

	if err != nil {
		return *new(T), fmt.Errorf("decode: %w", err)
	}

	return value, nil
}

// isNil tells whether a value is a nil pointer, or an interface with nothing or a nil pointer in it.
func isNil(v reflect.Value) bool {
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return true
		}

		v = v.Elem()
	}

	return false
}
