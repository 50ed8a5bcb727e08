package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/minogrpc/session/examples/internal/screen"
)

// The parts of a frame, in characters or lines.
const (
	// totalBar and shareBar are how long the bars are, and narrow is the width of a window that has no room for them.
	totalBar = 40
	shareBar = 10
	narrow   = 80

	// besides is how many lines a frame has besides the players, and the one in which the cursor is.
	besides = 7
)

// window is what a frame has to fit into.
type window struct {
	width, height int
	colours       bool
}

// marks are what shows the state of a player at first sight.
var marks = map[state]screen.Span{
	idle:     {Colour: screen.Dim, Text: "·"},
	counting: {Colour: screen.Cyan, Text: "…"},
	replied:  {Colour: screen.Green, Text: "✓"},
	leaving:  {Colour: screen.Yellow, Text: "!"},
	stopped:  {Colour: screen.Red, Text: "✗"},
	orphaned: {Colour: screen.Yellow, Text: "?"},
}

// frame returns the lines that a terminal shows: how far all are, the tree with each player, and what happens now, if
// anything. The players that find no room are counted only. The lines are cut off one character before the edge, where
// some terminals wrap already.
func (b *board) frame(w window) []string {
	paint := func(spans ...screen.Span) string { return screen.Paint(w.width-1, w.colours, spans...) }

	files, words := b.counted()
	total := fmt.Sprintf("%d of %s, %s", files, screen.Count(b.files, "file"), screen.Count(words, "word"))

	if w.width >= narrow {
		total = screen.Bar(totalBar, files, b.files) + "  " + total
	}

	lines := []string{paint(screen.Span{Text: b.title}), paint(screen.Span{Text: total}), ""}

	rows := b.rows()
	column := columnOf(rows)

	shown := len(rows)
	if most := max(w.height-besides, 1); shown > most {
		shown = max(most-1, 1)
	}

	for _, r := range rows[:shown] {
		lines = append(lines, paint(r.spans(column, w.width >= narrow)...))
	}

	if more := len(rows) - shown; more > 0 {
		lines = append(lines, paint(screen.Span{Colour: screen.Dim, Text: fmt.Sprintf("  and %d more", more)}))
	}

	if b.news == "" {
		return lines
	}

	return append(lines, "", paint(screen.Span{Text: b.news}))
}

// spans returns what a line says about a player.
func (r row) spans(column int, bars bool) []screen.Span {
	mark := marks[r.state]
	spans := []screen.Span{
		{Colour: mark.Colour, Text: mark.Text + " "},
		{Colour: r.colour(), Text: fmt.Sprintf("%-*s", column, r.label())},
	}

	if r.share > 0 {
		spans = append(spans, screen.Span{Text: fmt.Sprintf(" %12s", screen.Count(r.words, "word"))})

		if bars {
			spans = append(spans, screen.Span{
				Colour: mark.Colour, Text: fmt.Sprintf("  %s  %d/%s",
					screen.Bar(shareBar, r.files, r.share), r.files, screen.Count(r.share, "file")),
			})
		}
	}

	if r.note != "" {
		spans = append(spans, screen.Span{Colour: mark.Colour, Text: "  " + r.note})
	}

	return spans
}

// colour is that of the name: only what is not as it was has one.
func (r row) colour() string {
	if r.state == idle || r.state == counting || r.state == replied {
		return screen.Plain
	}

	return marks[r.state].Colour
}

// columnOf returns the width of the column of the nodes.
func columnOf(rows []row) int {
	width := len("NODE")
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r.label()))
	}

	return width
}

// table returns the tree as the last request has gone through it, with what has become of the message to each of the
// nodes, and below it those that were not reached. It says who gave those up and why.
func (b *board) table(causes map[string]string) string {
	var text strings.Builder

	rows := b.rows()
	for i := range rows {
		if causes[rows[i].addr] != "" {
			rows[i].branch = "✗ " + rows[i].branch
		}
	}

	column := columnOf(rows)

	fmt.Fprintf(&text, "\n  %-*s  %-26s %-12s %6s %8s\n", column, "NODE", "ADDRESS", "OUTCOME", "FILES", "WORDS")

	for _, r := range rows {
		cause := causes[r.addr]

		switch {
		case cause != "":
			fmt.Fprintf(&text, "  %-*s  %-26s %s\n    %s\n", column, r.label(), r.addr, r.outcome, cause)
		case r.outcome != "":
			fmt.Fprintf(&text, "  %-*s  %-26s %-12s %6d %8d\n",
				column, r.label(), r.addr, r.outcome, r.files, r.words)
		}
	}

	return text.String() + "\n"
}
