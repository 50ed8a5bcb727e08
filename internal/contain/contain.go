// Package contain keeps the panics of code that is not ours from ending the
// process: they become errors.
package contain

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/rs/zerolog"
)

// ErrPanic is what the error of every panic wraps.
var ErrPanic = errors.New("panic")

// PanicError is a panic that was contained.
type PanicError struct {
	// Value is what panic was called with.
	Value any
	// Stack is the stack of the goroutine at that moment, for the log.
	Stack []byte
}

// Error implements error. The text may reach other nodes: it has no stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("%v: %v", ErrPanic, e.Value)
}

// Unwrap returns ErrPanic.
func (e *PanicError) Unwrap() error {
	return ErrPanic
}

// Call calls the function and returns what it does, or its panic.
func Call[T any](call func() (T, error)) (result T, err error) {
	defer Recover(&err)

	return call()
}

// Do is Call for a function without a result.
func Do(call func()) (err error) {
	defer Recover(&err)

	call()

	return nil
}

// Recover makes the panic of a function the error that it returns. The function
// defers it.
func Recover(err *error) {
	if r := recover(); r != nil {
		*err = &PanicError{Value: r, Stack: debug.Stack()}
	}
}

// Logged runs what an application has passed to a node. A panic is an error that wraps ErrPanic, and
// is logged.
func Logged(logger zerolog.Logger, fn func() error) error {
	return LoggedTo(func() zerolog.Logger { return logger }, fn)
}

// LoggedTo is Logged with a logger that is made for a panic.
func LoggedTo(logger func() zerolog.Logger, fn func() error) error {
	err := run(fn)

	// The error and the log may be somebody else's, too.
	_ = Do(func() {
		failure, ok := errors.AsType[*PanicError](err)
		if ok {
			log := logger()
			log.Error().Err(failure).Bytes("stack", failure.Stack).Msg("panic contained")
		}
	})

	return err
}

func run(fn func() error) (err error) {
	defer Recover(&err)

	return fn()
}

// errNoContext is the error of a nil context.
var errNoContext = errors.New("no context")

// noKey is the key of no value.
type noKey struct{}

// Context calls what the library calls of a context, from goroutines where nobody recovers. A context
// that panics does so here, where the caller contains it. It returns an error for a nil context.
func Context(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}

	_, _ = ctx.Deadline()
	_ = ctx.Value(noKey{})
	_, _ = ctx.Done(), ctx.Err()

	return nil
}
