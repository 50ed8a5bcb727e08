package traffic

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// maxLines is how many arrows and notes a sequence diagram has. Nobody would read more.
const maxLines = 300

// line is one line of a sequence diagram.
type line struct {
	at   time.Duration
	text string
}

// WriteMermaid writes a sequence diagram for Mermaid: an arrow for each packet between neighbours, and a note for
// each failure and loss. It has at most 300 of them, and says how many are left out.
func (r *Record) WriteMermaid(w io.Writer) error {
	s := r.tell()
	names := make(map[string]string, len(s.nodes))
	out := newPen(w)

	out.printf("sequenceDiagram\n")

	for i, node := range s.nodes {
		names[node] = fmt.Sprintf("p%d", i)
		out.printf("    participant p%d as %s\n", i, plain(node))
	}

	lines := s.lines(names)
	for _, l := range lines[:min(len(lines), maxLines)] {
		out.printf("    %s\n", l.text)
	}

	if more := max(len(lines)-maxLines, 0) + s.dropped; more > 0 && len(s.nodes) > 0 {
		out.printf("    Note over p0: and %d more\n", more)
	}

	return out.Flush()
}

// lines returns what the diagram says, in the order of time.
func (s *story) lines(names map[string]string) []line {
	lines := make([]line, 0, len(s.hops)+len(s.marks))

	for _, h := range s.hops {
		arrow, took := "->>", fmt.Sprintf(" in %v", rounded(h.came-h.left))
		if !h.arrived {
			arrow, took = "-x", ", not seen to arrive"
		}

		lines = append(lines, line{h.left, fmt.Sprintf("%s%s%s: %s%s",
			names[h.from], arrow, names[h.to], plain(h.label()), took)})
	}

	for _, m := range s.marks {
		if m.isTrouble() || m.kind == Resumed {
			lines = append(lines, line{m.at, fmt.Sprintf("Note over %s: %s", names[m.node], plain(m.label()))})
		}
	}

	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })

	return lines
}

// label says what a packet is.
func (h hop) label() string {
	to := "1 player"
	if h.dests != 1 {
		to = fmt.Sprintf("%d players", h.dests)
	}

	return fmt.Sprintf("%d bytes of %s for %s", h.bytes, h.source, to)
}

// label says what has happened.
func (m mark) label() string {
	text := fmt.Sprintf("%s %s", m.kind, m.peer)
	if m.kind == Reached || m.kind == Failed {
		text += fmt.Sprintf(" after %v", rounded(m.latency))
	}

	if m.text != "" {
		text += ": " + m.text
	}

	return text
}

// isTrouble tells whether it is something that a reader looks for.
func (m mark) isTrouble() bool {
	return m.kind == Failed || m.kind == Broken || m.kind == Lost
}

// short returns the name of a node without the scheme.
func short(name string) string {
	for _, scheme := range []string{"grpcs://", "grpc://", "https://"} {
		name = strings.Replace(name, scheme, "", 1)
	}

	return strings.Replace(name, "Orchestrator:", "orchestrator ", 1)
}

// rounded returns a time that people can read.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	default:
		return d.Round(time.Microsecond)
	}
}

// special are the characters that mean something in a diagram.
var special = strings.NewReplacer(
	"#", "#35;", ";", "#59;", "<", "#lt;", ">", "#gt;", "\n", " ", "\r", " ", "%%", "#37;#37;",
)

// plain returns a text that means nothing in a diagram.
func plain(text string) string {
	return strings.ToValidUTF8(special.Replace(text), "\uFFFD")
}
