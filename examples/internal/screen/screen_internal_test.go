package screen

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProgress_IsOneBarOnATerminal(t *testing.T) {
	var out bytes.Buffer

	s := New(&out)
	s.terminal = true

	s.Progress(1, 2, "10 words", "a counted 10")
	s.Progress(2, 2, "30 words", "b counted 20")
	s.Printf("%s\n", "below")
	s.Printf("%s\n", "at last")

	require.NoError(t, s.Err())
	require.Equal(t, "\r\x1b[K  ████████████░░░░░░░░░░░░  1 of 2 replies, 10 words"+
		"\r\x1b[K  ████████████████████████  2 of 2 replies, 30 words"+
		"\nbelow\nat last\n", out.String())
}

func TestProgress_IsLinesElsewhere(t *testing.T) {
	var out bytes.Buffer

	s := New(&out)
	s.Progress(1, 2, "10 words", "a counted 10")
	s.Progress(2, 2, "30 words", "b counted 20")
	s.Printf("below\n")

	require.Equal(t, "   1 of 2 replies: a counted 10\n   2 of 2 replies: b counted 20\nbelow\n", out.String())
}

func TestRedraw_ReplacesWhatIsOnATerminal(t *testing.T) {
	var out, lines bytes.Buffer

	s := New(&out)
	s.terminal = true
	s.Redraw("a\x1b[1m\n")
	require.Equal(t, "\x1b[H\x1b[2Ja\uFFFD[1m\n", out.String())

	s = New(&lines)
	s.Redraw("a\n")
	s.Redraw("b\n")
	require.Equal(t, "a\nb\n", lines.String())
}

func TestPrintf_RemembersWhatWentWrong(t *testing.T) {
	full := errors.New("disk full")

	s := New(writer(func([]byte) (int, error) { return 0, full }))
	require.NoError(t, s.Err())

	s.Printf("lost")
	require.ErrorIs(t, s.Err(), full)
}

// writer is an io.Writer that is a function.
type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
