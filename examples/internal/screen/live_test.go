package screen_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/minogrpc/session/examples/internal/screen/screentest"
	"github.com/stretchr/testify/require"
)

// A frame takes the place of the one before, whatever is longer, and the last one stays.
func TestLive_FramesFollowEachOther(t *testing.T) {
	terminal := &screentest.Terminal{Width: 20}
	_, err := terminal.Write([]byte("$ a command\n"))
	require.NoError(t, err)

	live := screen.NewLive(terminal)

	for _, frame := range [][]string{
		{"one"}, {"a longer line", "and another"}, {"short"}, {}, {"", "x"}, {"the", "last", "frame"},
	} {
		live.Draw(frame)
		require.Equal(t, strings.TrimRight("$ a command\n"+strings.Join(frame, "\n"), "\n"),
			strings.TrimRight(terminal.Text(), "\n"))
		require.True(t, terminal.IsBelow())
		require.False(t, terminal.IsReady(), "the cursor is hidden, and lines are cut off")
	}

	require.NoError(t, live.Close())
	require.True(t, terminal.IsReady())

	_, err = terminal.Write([]byte("$ "))
	require.NoError(t, err)
	require.Equal(t, "$ a command\nthe\nlast\nframe\n$\n", terminal.Text())
}

// A line that finds no room in a window would leave its rest behind if it were wrapped.
func TestLive_LongLinesAreCutOff(t *testing.T) {
	terminal := &screentest.Terminal{Width: 5}
	live := screen.NewLive(terminal)

	live.Draw([]string{"a long line", "b"})
	live.Draw([]string{"c"})
	require.NoError(t, live.Close())
	require.Equal(t, "c\n", terminal.Text())
}

// What has drawn nothing leaves nothing behind.
func TestLive_CloseWithoutAFrameWritesNothing(t *testing.T) {
	var out bytes.Buffer

	require.NoError(t, screen.NewLive(&out).Close())
	require.Empty(t, out.String())
}

func TestLive_RemembersWhatWentWrong(t *testing.T) {
	full := errors.New("disk full")

	live := screen.NewLive(writer(func([]byte) (int, error) { return 0, full }))
	live.Draw([]string{"lost"})
	require.ErrorIs(t, live.Close(), full)
}

// writer is an io.Writer that is a function.
type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestPaint_FitsAndObeysNobody(t *testing.T) {
	red, plain := screen.Span{Colour: screen.Red, Text: "✗ node"}, screen.Span{Text: " says\x1b[2J\nso  "}

	require.Equal(t, "\x1b[31m✗ node\x1b[0m says\uFFFD[2J so", screen.Paint(80, true, red, plain))
	require.Equal(t, "✗ node says\uFFFD[2J so", screen.Paint(80, false, red, plain))
	require.Equal(t, "\x1b[31m✗ node\x1b[0m s", screen.Paint(8, true, red, plain))
	require.Equal(t, "\x1b[31m✗ n\x1b[0m", screen.Paint(3, true, red, plain))
	require.Empty(t, screen.Paint(0, true, red, plain))
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		done, all int
		bar       string
	}{
		{0, 0, "░░░░"}, {0, 8, "░░░░"}, {1, 8, "░░░░"}, {2, 8, "█░░░"}, {7, 8, "███░"}, {8, 8, "████"}, {9, 8, "████"},
	} {
		require.Equal(t, c.bar, screen.Bar(4, c.done, c.all), "%d of %d", c.done, c.all)
	}
}

func TestSize_IsThatOfTheWindowOrOfAnyTerminal(t *testing.T) {
	for _, c := range []struct {
		columns, lines string
		width, height  int
	}{
		{"", "", 80, 24}, {"132", "50", 132, 50}, {"0", "-1", 80, 24}, {"wide", "high", 80, 24},
	} {
		t.Setenv("COLUMNS", c.columns)
		t.Setenv("LINES", c.lines)

		width, height := screen.Size()
		require.Equal(t, []int{c.width, c.height}, []int{width, height})
	}
}

// Nobody waits for what is shown to nobody, and no file gets what steers a terminal.
func TestIsTerminal(t *testing.T) {
	open := func(name string) *os.File {
		file, err := os.OpenFile(name, os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) {
			t.Skip("this system has no ", name)
		}

		require.NoError(t, err)
		t.Cleanup(func() { _ = file.Close() })

		return file
	}

	reader, pipe, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = reader.Close(), pipe.Close() })

	terminal, null := open("/dev/ptmx"), open(os.DevNull)

	t.Setenv("TERM", "xterm")
	require.True(t, screen.IsTerminal(terminal))
	require.False(t, screen.IsTerminal(null))
	require.False(t, screen.IsTerminal(pipe))
	require.False(t, screen.IsTerminal(&bytes.Buffer{}))

	for _, term := range []string{"dumb", ""} {
		t.Setenv("TERM", term)
		require.False(t, screen.IsTerminal(terminal), "TERM=%s", term)
	}
}

func TestColours_AreLeftOutForWhomSaysSo(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	require.True(t, screen.Colours())
	t.Setenv("NO_COLOR", "1")
	require.False(t, screen.Colours())
}
