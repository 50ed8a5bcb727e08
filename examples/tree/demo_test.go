package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minogrpc/session/examples/internal/words"
	"github.com/stretchr/testify/require"
)

// runs does the demo in a folder of 40 files with 1 to 40 words, and returns what
// it prints and its error.
func runs(ctx context.Context, t *testing.T, count words.Counter) (string, error) {
	t.Helper()

	dir := t.TempDir()
	for i := range 40 {
		text := strings.Repeat("word\n", i+1)
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.txt", i)), []byte(text), 0o600))
	}

	// It takes a second or so. When it hangs, its own output says most.
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()

	var out bytes.Buffer

	err := run(ctx, &out, options{dir: dir, count: count})

	return out.String(), err
}

func TestRun_SumsAgreeWithAndWithoutANodeInTheMiddle(t *testing.T) {
	out, err := runs(t.Context(), t, words.Count)
	require.NoError(t, err, out)
	require.Equal(t, 2, strings.Count(out, "add up to 820 words, and so does the orchestrator's own count."), out)

	first, second, found := strings.Cut(out, " is stopped")
	require.True(t, found, out)

	stopped := first[strings.LastIndex(first, "node"):]

	// Everybody is drawn once, and the one to be stopped has somebody below it.
	require.Equal(t, size, strings.Count(first, " delivered\n"))
	require.Regexp(t, `── `+stopped+` .*\n  │   [├└]── node `, first)

	again, rest, found := strings.Cut(second, "Asking 14 nodes for their shares of 3 files:")
	require.True(t, found, out)

	// Only the stopped node is lost, and with it its share of the files.
	require.Equal(t, size-1, strings.Count(again, " delivered\n"))
	require.Equal(t, 1, strings.Count(again, " unreachable\n"))
	require.Regexp(t, `✗ `+stopped+` +grpcs://\S+ +unreachable\n    grpcs://\S+ says: .`, again)

	// The others have taken that over.
	require.Equal(t, size-1, strings.Count(rest, " delivered\n"))
	require.NotContains(t, rest, stopped+" ")

	require.NotContains(t, out, "\r", "this is no terminal")
	require.Len(t, regexp.MustCompile(` of 15 replies: node \d+ counted \d+ words`).FindAllString(out, -1), size)
}

func TestRun_WrongSumIsAnError(t *testing.T) {
	out, err := runs(t.Context(), t, func(folder fs.FS, name string) (int, error) {
		count, err := words.Count(folder, name)
		if name == "07.txt" {
			count++
		}

		return count, err
	})

	require.ErrorIs(t, err, words.ErrSum)
	require.ErrorContains(t, err, "821 instead of 820")
	require.NotContains(t, out, "add up")
}

func TestRun_NodeThatCannotCountIsAnError(t *testing.T) {
	_, err := runs(t.Context(), t, func(fs.FS, string) (int, error) { return 0, errors.New("no glasses") })
	require.ErrorContains(t, err, "could not count: count the words: no glasses")
}

func TestRun_NodeThatDoesNotReplyEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	_, err := runs(ctx, t, func(fs.FS, string) (int, error) {
		cancel()
		<-ctx.Done()

		return 0, nil
	})
	require.ErrorIs(t, err, context.Canceled)
}

func TestRun_WriteErrorIsAnError(t *testing.T) {
	full := errors.New("disk full")

	err := run(t.Context(), writer(func([]byte) (int, error) { return 0, full }), options{dir: ".", count: words.Count})
	require.ErrorIs(t, err, full)
}

// writer is an io.Writer that is a function.
type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
