package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
)

// maxName bounds the name of a type on the wire, in bytes.
const maxName = 255

// types implements Codec for the types of one interface.
type types[Msg any] struct {
	inner Codec
	types map[string]reflect.Type
	names map[reflect.Type]string
}

// Types returns a codec for a procedure whose requests or answers are of several types. Msg is an interface
// that they have in common, such as one with an unexported method. Each entry has a name for the wire, and a
// value of the type, whose content plays no role. A value of another type cannot be sent. The inner codec
// encodes the values; nil stands for [JSON].
//
// Values that are not a Msg go to the inner codec as they are, so that requests and answers can each have a Types:
//
//	protocol.Types(protocol.Types[Answer](nil, answers), requests)
//
// Types panics if Msg is no interface, a name is empty or longer than 255 bytes, or a value is nil
// or of the type of another entry.
func Types[Msg any](inner Codec, named map[string]Msg) Codec {
	if reflect.TypeFor[Msg]().Kind() != reflect.Interface {
		panic(fmt.Sprintf("protocol: %v is no interface", reflect.TypeFor[Msg]()))
	}

	if inner == nil {
		inner = JSON{}
	}

	t := types[Msg]{inner: inner, types: make(map[string]reflect.Type), names: make(map[reflect.Type]string)}

	for name, value := range named {
		concrete := reflect.TypeOf(value)
		if name == "" || len(name) > maxName || concrete == nil || t.names[concrete] != "" {
			panic(fmt.Sprintf("protocol: the type %v cannot have the name %q", concrete, name))
		}

		t.types[name], t.names[concrete] = concrete, name
	}

	return t
}

// Marshal implements Codec. The bytes are the length of the name, the name, and those of the inner codec.
func (t types[Msg]) Marshal(v any) ([]byte, error) {
	msg, ok := v.(*Msg)
	if !ok {
		return t.inner.Marshal(v)
	}

	name, ok := t.names[reflect.TypeOf(*msg)]
	if !ok {
		return nil, fmt.Errorf("the type %T has no name", *msg)
	}

	value := reflect.New(reflect.TypeOf(*msg))
	value.Elem().Set(reflect.ValueOf(*msg))

	data, err := t.inner.Marshal(value.Interface())
	if err != nil {
		return nil, err
	}

	return append(append(binary.AppendUvarint(nil, uint64(len(name))), name...), data...), nil
}

// Unmarshal implements Codec.
func (t types[Msg]) Unmarshal(data []byte, v any) error {
	msg, ok := v.(*Msg)
	if !ok {
		return t.inner.Unmarshal(data, v)
	}

	length, size := binary.Uvarint(data)
	if size <= 0 || length > maxName || length > uint64(len(data)-size) {
		return errors.New("a message without the name of its type")
	}

	name, data := string(data[size:size+int(length)]), data[size+int(length):]

	concrete, ok := t.types[name]
	if !ok {
		return fmt.Errorf("unknown type %q", name)
	}

	value := reflect.New(concrete)
	if err := t.inner.Unmarshal(data, value.Interface()); err != nil {
		return err
	}

	*msg, _ = reflect.TypeAssert[Msg](value.Elem()) // It was one when it was named.

	return nil
}
