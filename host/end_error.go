package host

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxErrorText is how much of the text of an error travels, in bytes. If a status does not fit into a
// header, gRPC ends the stream without any text.
const maxErrorText = 4 << 10

// said returns a status with the text of an error. It cuts off a text that is too long to travel.
func said(code codes.Code, err error) error {
	text := err.Error()
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + "…"
	}

	return status.Error(code, strings.ToValidUTF8(text, string('\uFFFD')))
}

// endError is the error of a call or a stream whose context is done.
type endError struct {
	// cause is the cause of the context. end is context.Canceled or context.DeadlineExceeded.
	cause, end error
}

// EndOf returns the error for a call or a stream that may have ended because its context is done. If the
// context is not done, EndOf returns err. Otherwise it returns an error that wraps the cause and the
// error of the context, and has the gRPC status Canceled or DeadlineExceeded.
func EndOf(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}

	return endError{context.Cause(ctx), ctx.Err()}
}

// Error implements error.
func (e endError) Error() string { return fmt.Sprint(e.cause) }

// Unwrap returns the cause and the error of the context.
func (e endError) Unwrap() []error { return []error{e.cause, e.end} }

// GRPCStatus returns the status with which gRPC reports the end of a context.
func (e endError) GRPCStatus() *status.Status {
	code := codes.Canceled
	if errors.Is(e.end, context.DeadlineExceeded) {
		code = codes.DeadlineExceeded
	}

	return status.New(code, e.Error())
}
