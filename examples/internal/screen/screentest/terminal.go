// Package screentest has a terminal for tests of what draws on one.
package screentest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Terminal is a terminal of any height. It understands what package screen writes, and fails a write that has
// anything else in it. It may be used from several goroutines at once.
type Terminal struct {
	// Width is how long a line can be.
	Width int

	// Drawn, unless it is nil, is called after each write. It must not write.
	Drawn func()

	mu sync.Mutex

	lines    [][]rune
	row, col int

	hidden, cut, coloured bool
}

// Write implements io.Writer. What a write begins, such as a sequence or a character, it must also end.
func (t *Terminal) Write(p []byte) (int, error) {
	err := t.write(string(p))
	if err != nil {
		return 0, err
	}

	if t.Drawn != nil {
		t.Drawn()
	}

	return len(p), nil
}

func (t *Terminal) write(text string) error {
	t.mu.Lock()
	defer t.mu.Unlock()

	for text != "" {
		if sequence, found := strings.CutPrefix(text, "\x1b["); found {
			end := strings.IndexAny(sequence, "AKJmhl")
			if end < 0 {
				return fmt.Errorf("no sequence that is known: %q", text)
			}

			err := t.obey(sequence[:end], sequence[end])
			if err != nil {
				return err
			}

			text = sequence[end+1:]

			continue
		}

		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]

		err := t.put(r)
		if err != nil {
			return err
		}
	}

	return nil
}

// obey does what a sequence says.
func (t *Terminal) obey(argument string, verb byte) error {
	switch {
	case verb == 'A':
		up, err := strconv.Atoi(argument)
		if err != nil || up > t.row {
			return fmt.Errorf("%q lines up from line %d", argument, t.row)
		}

		t.row -= up
	case verb == 'K' && argument == "":
		t.truncate(t.col)
	case verb == 'J' && argument == "":
		t.truncate(t.col)
		t.lines = t.lines[:min(len(t.lines), t.row+1)]
	case verb == 'm':
		t.coloured = true
	case argument == "?25":
		t.hidden = verb == 'l'
	case argument == "?7":
		t.cut = verb == 'l'
	default:
		return fmt.Errorf("what is %q%c?", argument, verb)
	}

	return nil
}

// truncate leaves so many characters of the line with the cursor.
func (t *Terminal) truncate(n int) {
	if t.row < len(t.lines) {
		t.lines[t.row] = t.lines[t.row][:min(n, len(t.lines[t.row]))]
	}
}

// put shows a character, or does what it says.
func (t *Terminal) put(r rune) error {
	switch {
	case r == '\n':
		t.row, t.col = t.row+1, 0
	case r == '\r':
		t.col = 0
	case r < ' ' || r == utf8.RuneError:
		return fmt.Errorf("what is the character %q?", r)
	case t.col >= t.Width && t.cut: // It would be over the edge.
	default:
		if t.col >= t.Width {
			t.row, t.col = t.row+1, 0
		}

		for len(t.lines) <= t.row {
			t.lines = append(t.lines, nil)
		}

		for len(t.lines[t.row]) <= t.col {
			t.lines[t.row] = append(t.lines[t.row], ' ')
		}

		t.lines[t.row][t.col] = r
		t.col++
	}

	return nil
}

// Lines returns what can be read, up to the last line that is not empty.
func (t *Terminal) Lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()

	lines := make([]string, len(t.lines))
	for i, line := range t.lines {
		lines[i] = strings.TrimRight(string(line), " ")
	}

	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}

	return lines
}

// Text returns what can be read, as a text.
func (t *Terminal) Text() string { return strings.Join(t.Lines(), "\n") + "\n" }

// IsReady tells whether the terminal is as a program should leave it: it shows the cursor, which is at the beginning
// of a line, and does not cut lines off.
func (t *Terminal) IsReady() bool {
	t.mu.Lock()
	defer t.mu.Unlock()

	return !t.hidden && !t.cut && t.col == 0
}

// IsBelow tells whether the cursor is below all that can be read.
func (t *Terminal) IsBelow() bool {
	t.mu.Lock()
	defer t.mu.Unlock()

	for _, line := range t.lines[min(t.row, len(t.lines)):] {
		if len(line) > 0 {
			return false
		}
	}

	return t.col == 0
}

// HasColours tells whether any were written.
func (t *Terminal) HasColours() bool {
	t.mu.Lock()
	defer t.mu.Unlock()

	return t.coloured
}
