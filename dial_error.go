package session

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minogrpc/session/internal/contain"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What other nodes are told about a child that could not be dialled.
const (
	toldRefused    = "refused"
	toldTimeout    = "timeout"
	toldNotTrusted = "not trusted"
)

// dialError is why a child could not be dialled. It has the whole truth for this node: its
// application, its log and its observer. Other nodes are only told the kind, because a node that
// repeats what the network says would be a port scanner for any player that names addresses.
type dialError struct {
	error

	told string
}

// newDialError finds out the kind of an error of an attempt to open a stream.
func newDialError(err error) *dialError {
	e := &dialError{error: err, told: toldRefused}
	code, text := status.Code(err), err.Error()

	switch {
	case code == codes.PermissionDenied, code == codes.Unauthenticated,
		strings.Contains(text, "authentication handshake failed"):
		e.told = toldNotTrusted
	case code == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded),
		strings.Contains(text, "i/o timeout"):
		e.told = toldTimeout
	}

	return e
}

// Unwrap returns what has happened.
func (e *dialError) Unwrap() error {
	return e.error
}

// coarse returns the text of an error with what it says about an attempt to dial replaced by
// the kind. The error may not be ours.
func coarse(err error, text string) string {
	dial, _ := contain.Call(func() (*dialError, error) {
		dial, _ := errors.AsType[*dialError](err)

		return dial, nil
	})
	if dial == nil {
		return text
	}

	return strings.ReplaceAll(text, fmt.Sprint(dial.error), dial.told)
}
