package existing

import "fmt"

// frame is a message in the form of the wire.
type frame []byte

// codec hands frames to gRPC and back as they are, because the model encodes by itself. It
// has no name, so that the content type is plain application/grpc.
type codec struct{}

// Marshal implements encoding.Codec.
func (codec) Marshal(v any) ([]byte, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("%T is no frame", v)
	}

	return *f, nil
}

// Unmarshal implements encoding.Codec. It copies, because gRPC uses the buffer again.
func (codec) Unmarshal(data []byte, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("%T is no frame", v)
	}

	*f = append(frame{}, data...)

	return nil
}

// Name implements encoding.Codec.
func (codec) Name() string { return "" }
