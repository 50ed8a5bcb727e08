package scenario

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// words are what is left of a line. After the first error they are empty, so that
// a statement can be read to its end before anybody looks at it.
type words struct {
	rest []string
	err  error
}

// split returns the words of a line without its comment. Commas, colons and
// parentheses are words of their own, and what stands in quotes is one word, which
// keeps the first of them.
func split(line string) *words {
	w := new(words)

	for {
		line = strings.TrimLeftFunc(line, unicode.IsSpace)

		switch {
		case line == "" || line[0] == '#':
			return w
		case line[0] == '"':
			text, after, closed := strings.Cut(line[1:], `"`)
			if !closed {
				w.failf("the quote is not closed")

				return w
			}

			w.rest = append(w.rest, `"`+text)
			line = after
		default:
			end := 1
			if !strings.ContainsRune("(),:", rune(line[0])) {
				end = strings.IndexAny(line+" ", " \t(),:#\"")
			}

			w.rest = append(w.rest, line[:end])
			line = line[end:]
		}
	}
}

// failf notes the first error.
func (w *words) failf(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}

	w.rest = nil
}

// peek returns the next word, empty at the end.
func (w *words) peek() string {
	if len(w.rest) == 0 {
		return ""
	}

	return w.rest[0]
}

// next takes the next word, which must be there. What is the word that is missing
// otherwise.
func (w *words) next(what string) string {
	if len(w.rest) == 0 {
		w.failf("%s is missing", what)

		return ""
	}

	word := w.rest[0]
	w.rest = w.rest[1:]

	return word
}

// accept takes a phrase if that comes next.
func (w *words) accept(phrase string) bool {
	parts := strings.Fields(phrase)
	if len(w.rest) < len(parts) || !slices.Equal(w.rest[:len(parts)], parts) {
		return false
	}

	w.rest = w.rest[len(parts):]

	return true
}

// expect takes a phrase that must come next.
func (w *words) expect(phrase string) {
	if !w.accept(phrase) {
		w.failf("%q is expected instead of %q", phrase, w.shown())
	}
}

// shown is what an error says of the words that are left.
func (w *words) shown() string {
	if len(w.rest) == 0 {
		return "the end of the line"
	}

	return strings.Join(w.rest, " ")
}

// end returns the error of the line, which must have nothing left.
func (w *words) end() error {
	if len(w.rest) > 0 {
		w.failf("nobody knows what %q means here", w.shown())
	}

	return w.err
}

// number takes a positive number.
func (w *words) number(what string) int {
	word := w.next(what)

	n, err := strconv.Atoi(word)
	if w.err == nil && (err != nil || n <= 0) {
		w.failf("%s must be a positive number, not %q", what, word)
	}

	return n
}

// duration takes a time such as 1m30s.
func (w *words) duration(what string) time.Duration {
	word := w.next(what)

	d, err := time.ParseDuration(word)
	if w.err == nil && (err != nil || d < 0) {
		w.failf("%s must be a time such as 1m30s, not %q", what, word)
	}

	return d
}

// quoted takes a text in quotes.
func (w *words) quoted(what string) string {
	word := w.next(what)

	text, ok := strings.CutPrefix(word, `"`)
	if w.err == nil && (!ok || text == "") {
		w.failf("%s must be a text in quotes, not %q", what, word)
	}

	return text
}

// oneOf takes one of several phrases.
func oneOf[T ~string](w *words, what string, phrases ...T) T {
	for _, phrase := range phrases {
		if w.accept(string(phrase)) {
			return phrase
		}
	}

	w.failf("%s must be one of %q, not %q", what, phrases, w.shown())

	return ""
}
