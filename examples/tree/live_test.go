package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minogrpc/session/examples/internal/screen/screentest"
	"github.com/minogrpc/session/examples/internal/words"
	"github.com/stretchr/testify/require"
)

// watching returns what the program is told when somebody watches a terminal, but not for long.
func watching(t *testing.T) options {
	t.Helper()
	t.Setenv("COLUMNS", "80")
	t.Setenv("LINES", "24")
	t.Setenv("NO_COLOR", "")

	return options{
		dir: folder(t), counts: words.Count, nodes: 15, slow: 20 * time.Millisecond, live: true, timeout: time.Minute,
	}
}

// A terminal shows one frame at a time, from the first message to the last sum; and the last frame stays there.
func TestLive_TellsTheWholeStory(t *testing.T) {
	var frames []string

	terminal := &screentest.Terminal{Width: 80}
	terminal.Drawn = func() {
		if !terminal.IsReady() { // A program is drawing.
			frames = append(frames, terminal.Text())
		}
	}

	require.NoError(t, run(t.Context(), terminal, watching(t)))
	require.True(t, terminal.IsReady())
	require.True(t, terminal.HasColours())

	for _, frame := range frames {
		require.Equal(t, 1, strings.Count(frame, "15 nodes count the words of 40 files."), frame)
		require.LessOrEqual(t, strings.Count(frame, "\n"), 23, frame)
	}

	// What happens, in the order in which it does. Each of it is there in one frame at least.
	for _, step := range []string{
		`· node 15\n\n15 nodes are up`,
		`15 nodes are asked for their shares of 40 files\.`,
		`█{40}  40 of 40 files, 820 words\n\n✓ node 1 (?s:.*)The replies add up to 820 words`,
		`! ├── node 4 (?s:.*)Now node 4 is stopped\.`,
		`✗ ├── node 4 .* stopped\n(?s:.*)node 4 is gone\.`,
		`✓ ├── node 5 .* adopted by node 1\n✓ ├── node 6 .* adopted by node 1\n(?s:.*)✗ node 4 .* stopped\n`,
		`15 nodes are asked for their shares of 40 files again`,
		`✗ node 4 +unreachable\n(?s:.*)The 14 nodes that are left are asked for the other 3 files\.`,
		`█{40}  40 of 40 files, 820 words\n(?s:.*)The replies add up to 820 words`,
	} {
		i := 0
		for i < len(frames) && !regexp.MustCompile(step).MatchString(frames[i]) {
			i++
		}

		require.Less(t, i, len(frames), "no frame has %s", step)

		frames = frames[i:]
	}

	// All that has been said can be read below the last frame.
	last := terminal.Text()
	require.Equal(t, 1, strings.Count(last, "15 nodes count the words of 40 files."))
	require.Equal(t, 2, strings.Count(last, "The replies add up to 820 words"))
	require.Contains(t, last, "\nnode 4 has been stopped, and node 1 has adopted node 5 and node 6.\n")
	require.Len(t, regexp.MustCompile(`(?m)^✓ .*node \d+ .* (\d)/(\d) files`).FindAllString(last, -1), 14)
}

// The last frame has all nodes, also those that found no room in the window.
func TestLive_LastFrameIsComplete(t *testing.T) {
	for _, size := range [][2]int{{80, 10}, {30, 24}, {200, 100}} {
		opts := watching(t)
		opts.nodes = 7
		t.Setenv("COLUMNS", strconv.Itoa(size[0]))
		t.Setenv("LINES", strconv.Itoa(size[1]))
		t.Setenv("NO_COLOR", "1")

		terminal := &screentest.Terminal{Width: size[0]}
		require.NoError(t, run(t.Context(), terminal, opts))
		require.True(t, terminal.IsReady())
		require.False(t, terminal.HasColours())
		require.NotContains(t, terminal.Text(), " more\n")
		require.Len(t, regexp.MustCompile(`(?m)^[✓✗] .*node \d+`).FindAllString(terminal.Text(), -1), 7)
	}
}

// Somebody who has seen enough gets the terminal back.
func TestLive_InterruptLeavesTheTerminalAsItWas(t *testing.T) {
	process, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)

	terminal := &screentest.Terminal{Width: 80}
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{}, 1)
	terminal.Drawn = func() {
		if strings.Contains(terminal.Text(), "are asked") {
			select {
			case asked <- struct{}{}:
			default:
			}
		}
	}

	ended := make(chan error, 1)

	go func() {
		select {
		case <-asked:
			ended <- process.Signal(os.Interrupt)
		case <-ctx.Done():
			ended <- ctx.Err()
		}
	}()

	var stderr bytes.Buffer

	opts := watching(t)
	opts.slow = 2 * time.Second // It is interrupted long before that.

	require.Equal(t, exitInterrupt, runUntilInterrupt(terminal, &stderr, opts), stderr.String())
	cancel()
	require.NoError(t, <-ended)

	require.Equal(t, "tree: interrupted\n", stderr.String())
	require.True(t, terminal.IsReady())
	require.Contains(t, terminal.Text(), "15 nodes count the words of 40 files.")
	require.Contains(t, terminal.Text(), "node 15")
}

// Whatever goes wrong, the terminal is given back.
func TestLive_ErrorLeavesTheTerminalAsItWas(t *testing.T) {
	opts := watching(t)
	opts.timeout, opts.slow = time.Nanosecond, 0

	var stderr bytes.Buffer

	terminal := &screentest.Terminal{Width: 80}
	require.Equal(t, exitFailure, runUntilInterrupt(terminal, &stderr, opts))
	require.True(t, terminal.IsReady())
	require.Contains(t, stderr.String(), "deadline exceeded")
}
