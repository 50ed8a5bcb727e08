package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/examples/internal/words"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

// folder returns a folder of 40 files with 1 to 40 words.
func folder(t *testing.T) string {
	t.Helper()

	dir := t.TempDir()
	for i := range 40 {
		text := strings.Repeat("word\n", i+1)
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.txt", i)), []byte(text), 0o600))
	}

	return dir
}

// runs does the demo in a folder of 40 files, and returns what it prints and its error.
func runs(ctx context.Context, t *testing.T, opts options) (string, error) {
	t.Helper()

	opts.dir = folder(t)
	if opts.nodes == 0 {
		opts.nodes = defaultNodes
	}

	if opts.counts == nil {
		opts.counts = words.Count
	}

	// It takes a second or so. When it hangs, its own output says most.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	var out bytes.Buffer

	err := run(ctx, &out, opts)

	return out.String(), err
}

func TestRun_SumsAgreeWithAndWithoutANodeInTheMiddle(t *testing.T) {
	out, err := runs(t.Context(), t, options{})
	require.NoError(t, err, out)
	require.Equal(t, 2, strings.Count(out, "add up to 820 words, and so does the orchestrator's own count."), out)

	first, second, found := strings.Cut(out, "node 4 has been stopped, and node 1 has adopted node 5 and node 6.")
	require.True(t, found, out)

	// Everybody is drawn once, with its share, and the one to be stopped has somebody below it.
	require.Equal(t, defaultNodes, strings.Count(first, " delivered "))
	require.Regexp(t, `├── node 4 .*\n  │   ├── node 5 .*\n  │   └── node 6 `, first)
	require.Regexp(t, `node 1 +grpcs://127.0.0.1:\d+ +delivered +3 +48\n`, first, "words of the files 1, 16 and 31")

	// Only the stopped node is lost, and with it its share of the files.
	require.Equal(t, defaultNodes-1, strings.Count(second, " delivered "))
	require.Equal(t, 1, strings.Count(second, " unreachable\n"))
	require.Regexp(t, `\n  ├── node 5 .*\n  ├── node 6 .*\n`, second)
	require.Regexp(t, `✗ node 4 +grpcs://\S+ +unreachable\n    node 1 says: .`, second)

	// The others have taken that over.
	require.Contains(t, second, "The 14 nodes that are left are asked for the other 3 files.\nThe replies add up")

	require.NotContains(t, out, "\r", "this is no terminal")
	require.NotContains(t, out, "\x1b", "this is no terminal")
}

// Any node but the root can be stopped, in a tree of any size.
func TestRun_NodesAndKill(t *testing.T) {
	for _, c := range []struct {
		nodes, kill int
		says        []string
	}{
		{2, 0, []string{
			"\nnode 2 has been stopped. Nobody was below it.\n",
			"\nThe one node that is left is asked for the other 20 files.\n",
		}},
		{5, 0, []string{"\nnode 5 has been stopped. Nobody was below it.\n", "for the other 8 files."}},
		{7, 0, []string{"\nnode 6 has been stopped, and node 1 has adopted node 7.\n", "for the other 5 files."}},
		{7, 6, []string{"\nnode 7 has been stopped. Nobody was below it.\n", "for the other 5 files."}},
		{15, 9, []string{"\nnode 10 has been stopped, and node 1 has adopted node 11 and node 12.\n"}},
		{42, 41, []string{"\nnode 42 has been stopped. Nobody was below it.\n", "\nThe replies add up to 820 words"}},
	} {
		t.Run(fmt.Sprintf("%d of %d", c.kill+1, c.nodes), func(t *testing.T) {
			out, err := runs(t.Context(), t, options{nodes: c.nodes, kill: c.kill})
			require.NoError(t, err, out)

			for _, text := range c.says {
				require.Contains(t, out, text)
			}

			require.Equal(t, 2*c.nodes-1, strings.Count(out, " delivered "), out)
		})
	}
}

// With -slow the nodes take their time also where there are lines.
func TestRun_SlowNodesTakeTheirTime(t *testing.T) {
	begin := time.Now()
	out, err := runs(t.Context(), t, options{nodes: 3, slow: 50 * time.Millisecond})
	require.NoError(t, err, out)
	require.Greater(t, time.Since(begin), 50*time.Millisecond, "half of that, twice, at least")
	require.NotContains(t, out, "\x1b")
}

func TestRun_WrongSumIsAnError(t *testing.T) {
	out, err := runs(t.Context(), t, options{counts: func(folder fs.FS, name string) (int, error) {
		count, err := words.Count(folder, name)
		if name == "07.txt" {
			count++
		}

		return count, err
	}})

	require.ErrorIs(t, err, words.ErrSum)
	require.ErrorContains(t, err, "821 instead of 820")
	require.NotContains(t, out, "add up")
}

func TestRun_NodeThatCannotCountIsAnError(t *testing.T) {
	_, err := runs(t.Context(), t, options{
		counts: func(fs.FS, string) (int, error) { return 0, errors.New("no glasses") },
	})
	require.ErrorContains(t, err, "could not count: count the words: no glasses")
}

func TestRun_NodeThatDoesNotReplyEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	_, err := runs(ctx, t, options{counts: func(fs.FS, string) (int, error) {
		cancel()
		<-ctx.Done()

		return 0, nil
	}})
	require.ErrorIs(t, err, context.Canceled)
}

func TestRun_WriteErrorIsAnError(t *testing.T) {
	full := errors.New("disk full")

	for _, live := range []bool{false, true} {
		err := run(t.Context(), writer(func([]byte) (int, error) { return 0, full }),
			options{dir: ".", counts: words.Count, nodes: 2, live: live})
		require.ErrorIs(t, err, full)
	}
}

// writer is an io.Writer that is a function.
type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// Promise O1 and O2: each destination has the outcome that it should have. What else comes of a request is an error.
func TestJudge_OutcomesThatDoNotFit(t *testing.T) {
	nodes := []*node{{name: "node 1"}, {name: "node 2"}, {name: "node 3"}}
	players := []mino.Address{session.NewAddress("a:1"), session.NewAddress("b:1"), session.NewAddress("c:1")}
	failed := func(i int, reason session.Reason) words.Lost {
		return words.Lost{players[i]: {Destination: players[i], Reason: reason, Cause: errors.New("so it is")}}
	}

	for _, c := range []struct {
		name  string
		gone  int
		asked []int
		lost  words.Lost
		says  string
	}{
		{"all are up", root, []int{0, 1, 2}, nil, ""},
		{"the stopped one is lost", 1, []int{0, 1, 2}, failed(1, session.ReasonUnreachable), ""},
		{"the others alone", 1, []int{0, 2}, nil, ""},
		{"one that is up is lost", root, []int{0, 1, 2}, failed(2, session.ReasonUnreachable), "node 3 is up, "},
		{"the root is lost", root, []int{0, 1, 2}, failed(0, session.ReasonClosed), "node 1 is up, and was not"},
		{"the wrong one is lost", 1, []int{0, 2}, failed(2, session.ReasonOverflow), "node 3 is up, and was not"},
		{"the stopped one is reached", 1, []int{0, 1, 2}, nil, "node 2 has been stopped, and has replied"},
		{"nobody knows", 1, []int{0, 1, 2}, failed(1, session.ReasonTimeout), "node 2 was known to be gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &watcher{demo: &demo{nodes: nodes, players: players, gone: c.gone}, asked: c.asked}
			w.judge(c.lost)

			if c.says == "" {
				require.NoError(t, w.broken)
			} else {
				require.ErrorIs(t, w.broken, errPromise)
				require.ErrorContains(t, w.broken, c.says)
			}
		})
	}
}

// Promise O2: the loss of a node that the run does not know of is told, and so the run fails.
func TestRun_OutcomeThatDoesNotFitIsAnError(t *testing.T) {
	d := newDemo(options{dir: folder(t), counts: words.Count, nodes: 7})

	err := d.run(t.Context(), writer(func(p []byte) (int, error) {
		if strings.Contains(string(p), "node 6 has been stopped") {
			require.NoError(t, d.nodes[2].Stop())
		}

		return len(p), nil
	}))
	require.ErrorIs(t, err, errPromise)
	require.ErrorContains(t, err, "second count: ")
	require.ErrorContains(t, err, "node 3 is up, and was not reached")
}

// A handler that has been started anew knows nothing of what the first one did.
func TestCheckHandlers_EachIsStartedOnce(t *testing.T) {
	d := &demo{nodes: []*node{{name: "node 1"}, {name: "node 2"}}, handlers: make([]atomic.Int32, 2)}
	d.handlers[0].Store(1)
	d.handlers[1].Store(1)
	require.NoError(t, d.checkHandlers())

	d.handlers[1].Store(2)
	require.ErrorIs(t, d.checkHandlers(), errPromise)
	require.ErrorContains(t, d.checkHandlers(), "node 2 has started 2 handlers")
}
