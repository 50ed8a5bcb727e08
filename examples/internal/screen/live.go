package screen

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
)

// What a terminal is told. A line that is longer than the window is wide is cut off, not wrapped: the next frame
// could not be drawn over it.
const (
	hideCursor, showCursor = "\x1b[?25l", "\x1b[?25h"
	cutLines, wrapLines    = "\x1b[?7l", "\x1b[?7h"

	clearLine, clearBelow = "\x1b[K", "\x1b[J"
)

// Live draws frames on a terminal, each over the one before. Between two calls the cursor is at the beginning of the
// line below the frame, so that nothing that is printed there tears it. It may be used from several goroutines at
// once.
type Live struct {
	out io.Writer

	mu sync.Mutex

	// lines is how many lines the frame on the terminal has. None is there before the first call of Draw.
	lines int

	// drawing tells that the cursor is hidden.
	drawing bool
	err     error
}

// NewLive returns what draws on a terminal.
func NewLive(out io.Writer) *Live {
	return &Live{out: out}
}

// Draw draws a frame over the one before.
func (l *Live) Draw(lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()

	var b strings.Builder

	if !l.drawing {
		l.drawing = true

		b.WriteString(hideCursor + cutLines)
	}

	if l.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", l.lines)
	}

	for _, line := range lines {
		b.WriteString("\r" + line + clearLine + "\n")
	}

	b.WriteString("\r" + clearBelow)

	l.lines = len(lines)
	l.writeLocked(b.String())
}

// Close leaves the last frame on the terminal, shows the cursor again, and returns the first error of all writes.
func (l *Live) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.drawing {
		l.drawing, l.lines = false, 0
		l.writeLocked(wrapLines + showCursor)
	}

	return l.err
}

// writeLocked writes in one piece, so that no terminal shows half a frame.
func (l *Live) writeLocked(text string) {
	_, err := io.WriteString(l.out, text)
	if l.err == nil {
		l.err = err
	}
}

// Size returns the size of the window in characters, as COLUMNS and LINES say, or the one that all terminals have
// had since there were any: 80 by 24.
func Size() (width, height int) {
	return sizeFrom("COLUMNS", 80), sizeFrom("LINES", 24)
}

func sizeFrom(name string, otherwise int) int {
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil || n <= 0 {
		return otherwise
	}

	return n
}

// The colours of a [Span].
const (
	Plain  = ""
	Dim    = "2"
	Red    = "31"
	Green  = "32"
	Yellow = "33"
	Cyan   = "36"
)

// Span is a piece of a line in one colour.
type Span struct {
	Colour, Text string
}

// Paint returns the line that the spans make, cut off at the width and with its colours, if those are wanted. Other
// nodes have a say in what the spans say: it is made [Printable].
func Paint(width int, colours bool, spans ...Span) string {
	var b strings.Builder

	for _, s := range spans {
		runes := []rune(Printable(strings.ReplaceAll(s.Text, "\n", " ")))
		runes = runes[:min(len(runes), width)]
		width -= len(runes)

		if colours && s.Colour != Plain && len(runes) > 0 {
			fmt.Fprintf(&b, "\x1b[%sm%s\x1b[0m", s.Colour, string(runes))
		} else {
			b.WriteString(string(runes))
		}
	}

	return strings.TrimRight(b.String(), " ")
}

// Bar returns a bar of that width, of which so many of all are full.
func Bar(width, done, all int) string {
	full := 0
	if all > 0 {
		full = width * min(done, all) / all
	}

	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}
