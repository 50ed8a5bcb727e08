// Package screen is where the examples print to: a terminal, on which progress is a bar,
// or anything else, where it is lines.
package screen

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"
)

// barWidth is the number of characters in a bar. With the figures beside it, the line
// must fit on a narrow terminal: a line that wraps cannot be drawn over.
const barWidth = 24

// Screen prints. It remembers the errors of the writes, so that only the end of the
// program has to look. It may be used from several goroutines at once.
type Screen struct {
	out io.Writer

	// terminal tells that a line can be drawn over.
	terminal bool

	mu  sync.Mutex
	err error

	// drawn tells that there is a bar which has no end of the line yet.
	drawn bool
}

// New returns a screen that prints to out.
func New(out io.Writer) *Screen {
	return &Screen{out: out, terminal: IsTerminal(out)}
}

// IsTerminal tells whether a line can be drawn over there. It cannot on a terminal that is dumb, or that does not say
// what it is.
func IsTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if term := os.Getenv("TERM"); !ok || term == "" || term == "dumb" {
		return false
	}

	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}

	null, err := os.Stat(os.DevNull) // This is such a device, too.

	return err != nil || !os.SameFile(info, null)
}

// Colours tells whether a terminal is to have colours: somebody may want none, see https://no-color.org.
func Colours() bool {
	return os.Getenv("NO_COLOR") == ""
}

// Printf prints, below the progress that has been shown.
func (s *Screen) Printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.drawn {
		format = "\n" + format
	}

	s.drawn = false
	s.writeLocked(Printable(fmt.Sprintf(format, args...)))
}

// Redraw prints a text in place of all that is on the terminal. Elsewhere it prints it below.
func (s *Screen) Redraw(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	text = Printable(text)
	if s.terminal {
		text = "\x1b[H\x1b[2J" + text
	}

	s.drawn = false
	s.writeLocked(text)
}

// Printable returns the text without what would steer the terminal: others have a say in what the
// examples print. The ends of lines stay.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}

		return unicode.ReplacementChar
	}, text)
}

// Count returns the number with its noun, such as 1 node or 2 nodes.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}

	return fmt.Sprintf("%d %ss", n, noun)
}

// Progress shows that so many of all replies have come. A terminal has one bar that
// changes, with what there is in total; elsewhere there is a line about each reply.
func (s *Screen) Progress(done, all int, total, last string) {
	total, last = Printable(total), Printable(last)

	if !s.terminal {
		s.Printf("  %2d of %s: %s\n", done, replies(all), last)

		return
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	s.drawn = true
	s.writeLocked(fmt.Sprintf("\r\x1b[K  %s %2d of %s, %s", Bar(barWidth, done, all), done, replies(all), total))
}

func replies(n int) string {
	if n == 1 {
		return "1 reply"
	}

	return fmt.Sprintf("%d replies", n)
}

// Err returns the errors of the writes.
func (s *Screen) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.err
}

func (s *Screen) writeLocked(text string) {
	_, err := io.WriteString(s.out, text)
	s.err = errors.Join(s.err, err)
}
