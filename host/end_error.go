package host

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxErrorText is how much of the text of an error travels, in bytes. gRPC ends a stream without any
// text if its status does not fit into a header.
const maxErrorText = 4 << 10

// said returns a status with the text of an error, as far as that may travel.
func said(code codes.Code, err error) error {
	text := err.Error()
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "…"
	}

	return status.Error(code, strings.ToValidUTF8(text, string('\uFFFD')))
}

// endError is why something has ended together with its context.
type endError struct {
	// cause is that of the context, and end is context.Canceled or context.DeadlineExceeded.
	cause, end error
}

// EndOf returns the error of a call or a stream that has ended because its context is done. It wraps
// the cause of the context and the error of the context, and has the gRPC status of the latter. If
// the context is not done, EndOf returns the error that it is given.
func EndOf(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}

	return endError{context.Cause(ctx), ctx.Err()}
}

// Error implements error.
func (e endError) Error() string { return fmt.Sprint(e.cause) }

// Unwrap returns both.
func (e endError) Unwrap() []error { return []error{e.cause, e.end} }

// GRPCStatus returns the status that gRPC has for the end of a context.
func (e endError) GRPCStatus() *status.Status {
	code := codes.Canceled
	if errors.Is(e.end, context.DeadlineExceeded) {
		code = codes.DeadlineExceeded
	}

	return status.New(code, e.Error())
}
