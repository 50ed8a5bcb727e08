package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// childVariable makes this binary run the program instead of the tests.
const childVariable = "NODE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
	}

	goleak.VerifyTestMain(m)
}

// runs has the program run in this process until it ends.
func runs(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer

	code = command(ctx, args, &out, &errs)

	return code, out.String(), errs.String()
}

func TestCommand_ExitCodes(t *testing.T) {
	empty := t.TempDir()
	long := filepath.Join(empty, string(bytes.Repeat([]byte("a"), 100)))

	for _, test := range []struct {
		name   string
		args   []string
		code   int
		stderr string
	}{
		{"help", []string{"-h"}, 0, "-listen"},
		{"help on count", []string{"count", "-h"}, 0, "-timeout"},
		{"unknown flag", []string{"-nope"}, exitUsage, "-nope"},
		{"unknown command", []string{"-data", empty, "counts"}, exitUsage, "too many arguments"},
		{"two folders", []string{"count", "-data", empty, "a", "b"}, exitUsage, "too many arguments"},
		{"no data", nil, exitUsage, "-data is missing"},
		{"no data to count with", []string{"count"}, exitUsage, "-data is missing"},
		{"no port", []string{"-data", empty, "-listen", "127.0.0.1"}, exitUsage, "-listen"},
		{"no place", []string{"-data", empty, "-listen", "0.0.0.0:0"}, exitUsage, "nobody can call 0.0.0.0"},
		{"no digest", []string{"-data", empty, "-join", "grpcs://127.0.0.1:1"}, exitUsage, "-digest"},
		{"bad digest", []string{"-data", empty, "-join", "grpcs://127.0.0.1:1", "-digest", "xy"}, exitUsage, "-digest"},
		{"bad peer", []string{"-data", empty, "-join", ":"}, exitUsage, "-join"},
		{"long folder", []string{"-data", long}, exitFailure, "too long"},
		{"no node", []string{"count", "-data", empty}, exitFailure, "no node runs in " + empty},
		{"no time", []string{"count", "-data", empty, "-timeout", "1ns"}, exitFailure, "more than 1ns"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := runs(t.Context(), test.args...)
			require.Equal(t, test.code, code, stderr)
			require.Contains(t, stderr, test.stderr)
			require.Empty(t, stdout)
		})
	}
}

// An end that comes at once is an end like any other.
func TestCommand_EndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	code, stdout, stderr := runs(ctx, "-data", t.TempDir())
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "Stopping.")
	require.Empty(t, stderr)
}
