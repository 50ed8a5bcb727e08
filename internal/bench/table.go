package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/minogrpc/session/internal/bench/paired"
)

// allOver returns the ratios of several series to the same one.
func allOver(all []series, base series) []series {
	ratios := make([]series, len(all))
	for i, s := range all {
		ratios[i] = s.Over(base)
	}

	return ratios
}

// goal is what a figure is to become, and what would be better still. Zero is none.
type goal struct {
	target, stretch float64
}

// row is one line of the table.
type row struct {
	what string
	goal goal

	// cells has a figure for each column, or none for one that means nothing there.
	cells  []series
	format func(float64) string
}

// table prints each row as soon as it is known.
type table struct {
	out  io.Writer
	rows []row
	err  error
}

// The widths of the columns, for the eye: the table is Markdown with any.
const (
	layout     = "| %-79s | %6s | %7s |"
	cellLayout = " %-25s |"
)

// none stands for a figure that there is not.
const none = "–"

// head prints the names of the columns.
func (t *table) head(columns ...string) {
	t.printf("\n"+layout, "what", "target", "stretch")

	for _, column := range columns {
		t.printf(cellLayout, column)
	}

	t.printf("\n|---|---:|---:|%s\n", strings.Repeat("---|", len(columns)))
}

// ratio adds a row of ratios.
func (t *table) ratio(what string, g goal, cells ...series) {
	t.add(row{what, g, cells, paired.Ratio})
}

// count adds a row of numbers with one decimal.
func (t *table) count(what string, g goal, cells ...series) {
	t.add(row{what, g, cells, func(f float64) string { return fmt.Sprintf("%.1f", f) }})
}

// kibibytes adds a row of sizes, which the samples give in bytes.
func (t *table) kibibytes(what string, g goal, cells ...series) {
	t.add(row{what, g, cells, func(f float64) string { return fmt.Sprintf("%.0f KiB", f/1024) }})
}

// milliseconds adds a row of times, which the samples give in seconds. These are the
// only figures that depend on how fast the machine is.
func (t *table) milliseconds(what string, g goal, cells ...series) {
	t.add(row{what, g, cells, func(f float64) string { return fmt.Sprintf("%.1f ms", 1000*f) }})
}

// add prints the medians and the quartiles of a row.
func (t *table) add(r row) {
	t.rows = append(t.rows, r)
	t.printf(layout, r.what, orNone(r.goal.target), orNone(r.goal.stretch))

	for _, cell := range r.cells {
		t.printf(cellLayout, r.text(cell))
	}

	t.printf("\n")
}

// text returns how a figure is printed.
func (r row) text(s series) string {
	if len(s) == 0 {
		return none
	}

	return s.Text(r.format)
}

// orNone returns a goal as it is printed.
func orNone(goal float64) string {
	if goal == 0 {
		return none
	}

	return strconv.FormatFloat(goal, 'g', 3, 64)
}

// printf keeps the first error of the writer, so that nobody has to ask each time.
func (t *table) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(t.out, format, args...); err != nil && t.err == nil {
		t.err = err
	}
}
