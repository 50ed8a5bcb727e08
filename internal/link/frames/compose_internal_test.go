package frames

import (
	"testing"

	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The parcel after the pieces of a large message says all that the whole one does.
func TestCompose_LastPieceKeepsEveryField(t *testing.T) {
	wire := &ptypes.Parcel{Header: []byte("header"), Body: []byte("body")}
	message := wire.ProtoReflect()
	set := map[protoreflect.Name]bool{"header": true, "body": true, "chunked": true, "header_size": true}

	for i := range message.Descriptor().Fields().Len() {
		field := message.Descriptor().Fields().Get(i)

		switch {
		case set[field.Name()]:
		case field.Kind() == protoreflect.BytesKind:
			message.Set(field, protoreflect.ValueOfBytes([]byte("x")))
		case field.Kind() == protoreflect.BoolKind:
			message.Set(field, protoreflect.ValueOfBool(true))
		case field.Kind() == protoreflect.Uint32Kind:
			message.Set(field, protoreflect.ValueOfUint32(uint32(i)+1))
		case field.Kind() == protoreflect.Uint64Kind:
			message.Set(field, protoreflect.ValueOfUint64(uint64(i)+1))
		default:
			message.Set(field, message.NewField(field))
		}
	}

	m := Machine{}
	transfer := m.newTransfer(&parcel.Parcel{}, wire)
	transfer.offset = 1
	last := m.lastPiece(transfer).ProtoReflect()

	for i := range message.Descriptor().Fields().Len() {
		field := message.Descriptor().Fields().Get(i)
		if !set[field.Name()] {
			require.True(t, message.Has(field))
			require.True(t, message.Get(field).Equal(last.Get(field)), "%s is lost", field.Name())
		}
	}
}
