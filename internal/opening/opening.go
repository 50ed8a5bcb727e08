// Package opening opens the streams between nodes.
package opening

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
)

var errNoHeader = errors.New("the node ended the stream at once")

// Failed tells whether the last attempt of gRPC to make a connection has failed: calls fail at once
// until it makes the next one, which may take a second. It returns false for what is no connection
// of gRPC.
func Failed(conn grpc.ClientConnInterface) bool {
	own, ok := conn.(interface{ GetState() connectivity.State })

	return ok && own.GetState() == connectivity.TransientFailure
}

// Stream opens a stream with the metadata that the context carries, and waits for the
// header with which the callee accepts it. The header is never nil.
func Stream(ctx context.Context, conn grpc.ClientConnInterface) (ptypes.Overlay_StreamClient, metadata.MD, error) {
	stream, err := Begin(ctx, conn)
	if err != nil {
		return nil, nil, err
	}

	header, err := Header(stream)
	if err != nil {
		return nil, nil, err
	}

	return stream, header, nil
}

// Begin is Stream without the wait. [Header] has to follow, before anything is read.
func Begin(ctx context.Context, conn grpc.ClientConnInterface) (ptypes.Overlay_StreamClient, error) {
	stream, err := ptypes.NewOverlayClient(conn).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("failed to open the stream: %w", err)
	}

	return stream, nil
}

// Header waits for the header of a stream. It is never nil.
//
// gRPC gives no header and no error for a stream that is refused, or whose context
// has ended: the status, which comes in place of the first packet, says why.
func Header(stream ptypes.Overlay_StreamClient) (metadata.MD, error) {
	header, err := stream.Header()
	if err != nil {
		return nil, fmt.Errorf("failed to open the stream: %w", err)
	}

	if header != nil {
		return header, nil
	}

	_, err = stream.Recv()
	if err == nil || errors.Is(err, io.EOF) {
		err = errNoHeader
	}

	return nil, fmt.Errorf("failed to open the stream: %w", err)
}
