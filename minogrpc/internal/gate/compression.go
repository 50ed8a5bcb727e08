package gate

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

// errCompressed is for a caller that compresses what it sends.
var errCompressed = status.Error(codes.Unimplemented, "compressed messages are not accepted")

// Uncompressed registers services whose calls are refused if the caller compresses its messages. A
// small message may become a large one when it is inflated. An application may register a format for
// the whole process, and gRPC inflates a request before an interceptor sees it. So the handlers of
// the service itself look first.
type Uncompressed struct {
	grpc.ServiceRegistrar
}

// RegisterService implements grpc.ServiceRegistrar.
func (u Uncompressed) RegisterService(desc *grpc.ServiceDesc, impl any) {
	own := *desc
	own.Methods = slices.Clone(desc.Methods)
	own.Streams = slices.Clone(desc.Streams)

	for i := range own.Methods {
		own.Methods[i].Handler = unaryUncompressed(own.Methods[i].Handler)
	}

	for i := range own.Streams {
		own.Streams[i].Handler = streamUncompressed(own.Streams[i].Handler)
	}

	u.ServiceRegistrar.RegisterService(&own, impl)
}

func unaryUncompressed(handler grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor,
	) (any, error) {
		if err := checkUncompressed(ctx); err != nil {
			return nil, err
		}

		return handler(srv, ctx, decode, interceptor)
	}
}

func streamUncompressed(handler grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, stream grpc.ServerStream) error {
		if err := checkUncompressed(stream.Context()); err != nil {
			return err
		}

		return handler(srv, stream)
	}
}

// checkUncompressed returns an error with a status if the messages of a call are compressed.
func checkUncompressed(ctx context.Context) error {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ RecvCompress() string })
	if !ok {
		return nil
	}

	if format := stream.RecvCompress(); format != "" && format != encoding.Identity {
		return errCompressed
	}

	return nil
}
