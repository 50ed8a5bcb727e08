package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/minogrpc/session/examples/internal/screen"
)

// maxWidth is how many characters a line has on a terminal: a line that wraps cannot be drawn over.
const maxWidth = 78

var colours = map[string]string{"…": "\x1b[2m", "✓": "\x1b[32m", "✗": "\x1b[31m"}

// board shows what is known of each player. A terminal has one line for each, which changes; elsewhere every change
// is a new line, without colours.
type board struct {
	out      io.Writer
	terminal bool
	begin    time.Time
	lines    []string
}

func newBoard(out io.Writer, players int, terminal bool) *board {
	b := &board{out, terminal, time.Now(), make([]string, players)}
	if terminal {
		_, _ = fmt.Fprint(out, strings.Repeat("\n", players))

		for i := range b.lines {
			b.set(i, "…", "is asked")
		}
	}

	return b
}

// set shows a player. The text may be that of another node, which must not steer the terminal.
func (b *board) set(i int, mark, text string) {
	text = screen.Printable(strings.ReplaceAll(text, "\n", " "))
	line := fmt.Sprintf("  player %d  %5.2f s  %s %s", i+1, time.Since(b.begin).Seconds(), mark, text)

	if !b.terminal {
		_, _ = fmt.Fprintln(b.out, line)

		return
	}

	runes := []rune(line)
	line = string(runes[:min(len(runes), maxWidth)])

	if screen.Colours() {
		line = colours[mark] + line + "\x1b[0m"
	}

	b.lines[i] = line
	_, _ = fmt.Fprintf(b.out, "\x1b[%dA\r\x1b[J%s\n", len(b.lines), strings.Join(b.lines, "\n"))
}
