package contain_test

import (
	"errors"
	"testing"

	"github.com/minogrpc/session/internal/contain"
	"github.com/stretchr/testify/require"
)

var errPlain = errors.New("plain")

// Promise S1: a panic becomes an error, and everything else passes through.
func TestCall_PanicBecomesAnError(t *testing.T) {
	n, err := contain.Call(func() (int, error) { return 1, errPlain })
	require.Equal(t, 1, n)
	require.Equal(t, errPlain, err)

	_, err = contain.Call(func() (int, error) { panic("oops") })
	require.ErrorIs(t, err, contain.ErrPanic)
	require.EqualError(t, err, "panic: oops")

	failure, ok := errors.AsType[*contain.PanicError](err)
	require.True(t, ok)
	require.Contains(t, string(failure.Stack), "contain_test.go")

	require.NoError(t, contain.Do(func() {}))
	require.ErrorIs(t, contain.Do(func() { panic(errPlain) }), contain.ErrPanic)
}
