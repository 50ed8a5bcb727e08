package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
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
	empty := private(t)
	long := filepath.Join(empty, string(bytes.Repeat([]byte("a"), 100)))

	const peer = "grpcs://127.0.0.1:1"

	digest := strings.Repeat("00", 32)

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
		{"no port to listen on", []string{"-data", empty, "-listen", "127.0.0.1"}, exitUsage, "-listen"},
		{"no place", []string{"-data", empty, "-listen", "0.0.0.0:0"}, exitUsage, "nobody can call 0.0.0.0"},
		{"bad digest", []string{"-data", empty, "-join", peer, "-digest", "xy"}, exitUsage, "-digest: encoding/hex"},
		{"short digest", []string{"-data", empty, "-join", peer, "-digest", "00ff"}, exitUsage,
			"-digest: it has 4 hexadecimal digits, and must have 64"},
		{"nowhere to join", []string{"-data", empty, "-token", "a"}, exitUsage, "-join is missing"},
		{"digest of nobody", []string{"-data", empty, "-digest", digest}, exitUsage, "-join is missing"},
		{"bad peer", []string{"-data", empty, "-join", ":"}, exitUsage, "-join: an address is like grpcs://host:port"},
		{"no scheme", []string{"-data", empty, "-join", "localhost:1"}, exitUsage, "is like grpcs://host:port"},
		{"plain peer", []string{"-data", empty, "-join", "grpc://a:1"}, exitUsage, "is like grpcs://host:port"},
		{"no port", []string{"-data", empty, "-join", "grpcs://a"}, exitUsage, "is like grpcs://host:port"},
		{"nothing to join with", []string{"-data", empty, "-join", peer}, exitFailure, "the -token and the -digest"},
		{"no token", []string{"-data", empty, "-join", peer, "-digest", digest}, exitFailure, "needs the -token"},
		{"no digest", []string{"-data", empty, "-join", peer, "-token", "a"}, exitFailure, "needs the -digest"},
		{"long folder", []string{"-data", long}, exitFailure, "too long"},
		{"no node", []string{"count", "-data", empty}, exitFailure, "no node runs in " + empty},
		{"help on top", []string{"top", "-h"}, 0, "-every"},
		{"top of two", []string{"top", "a"}, exitUsage, "too many arguments"},
		{"no pause", []string{"top", "-every", "0s"}, exitUsage, "-every is longer than zero"},
		{"nobody to show", []string{"top", "-debug", "127.0.0.1:1"}, exitFailure, "no node answers at 127.0.0.1:1"},
		{"no debug address", []string{"-data", empty, "-debug", "nowhere"}, exitFailure, "-debug: "},
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

	code, stdout, stderr := runs(ctx, "-data", private(t))
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "Stopping.")
	require.Empty(t, stderr)
}

// What is missing is said before the node has made a key.
func TestCommand_MissingFlagsLeaveNoNodeBehind(t *testing.T) {
	f := folder(private(t))

	code, _, _ := runs(t.Context(), "-data", string(f), "-join", "grpcs://127.0.0.1:1")
	require.Equal(t, exitFailure, code)
	require.NoFileExists(t, filepath.Join(string(f), "key.pem"))
	require.NoFileExists(t, f.addressFile())
}

func TestQuote_ShellReadsTheSameWord(t *testing.T) {
	for text, want := range map[string]string{
		"/tmp/a-1_b.c": "/tmp/a-1_b.c",
		"":             "''",
		"a b":          "'a b'",
		"$(it's)":      `'$(it'\''s)'`,
	} {
		require.Equal(t, want, quote(text))
	}
}

// private returns a folder that is the owner's.
func private(t *testing.T) string {
	t.Helper()

	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))

	return dir
}

// A folder or a key that others can read is refused.
func TestFolder_OfOthersIsRefused(t *testing.T) {
	dir := private(t)
	f := folder(dir)
	require.NoError(t, f.create())

	_, err := f.key()
	require.NoError(t, err)
	require.NoError(t, os.Chmod(filepath.Join(dir, "key.pem"), 0o640))

	_, err = f.key()
	require.ErrorContains(t, err, "chmod 600")
	require.NoError(t, os.Chmod(dir, 0o755))
	require.ErrorContains(t, f.create(), "chmod 700")
}
