// Package protobuf has the codec for procedures whose requests and answers are messages of protobuf. Programs with
// JSON do not import it.
package protobuf

import (
	"fmt"
	"reflect"

	"google.golang.org/protobuf/proto"
)

// Codec implements protocol.Codec for types that are a proto.Message, such as *timestamppb.Timestamp. Other types
// are an error. The zero value is ready for use.
type Codec struct{}

// Marshal implements protocol.Codec.
func (Codec) Marshal(v any) ([]byte, error) {
	msg, ok := reflect.TypeAssert[proto.Message](reflect.ValueOf(v).Elem())
	if !ok {
		return nil, fmt.Errorf("%v is no message of protobuf", reflect.TypeOf(v).Elem())
	}

	return proto.Marshal(msg)
}

// Unmarshal implements protocol.Codec. It keeps unknown fields, as proto.Unmarshal does.
func (Codec) Unmarshal(data []byte, v any) error {
	value := reflect.ValueOf(v).Elem()
	if value.Kind() != reflect.Pointer {
		return fmt.Errorf("%v is no message of protobuf", value.Type())
	}

	fresh := reflect.New(value.Type().Elem())

	msg, ok := reflect.TypeAssert[proto.Message](fresh)
	if !ok {
		return fmt.Errorf("%v is no message of protobuf", value.Type())
	}

	if err := proto.Unmarshal(data, msg); err != nil {
		return err
	}

	value.Set(fresh)

	return nil
}
