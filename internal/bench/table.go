package main

import (
	"fmt"
	"io"
	"slices"
)

// series are the samples of one figure, one for each round.
type series []float64

// over returns the ratio of each round.
func (s series) over(base series) series {
	ratios := make(series, len(s))
	for i := range s {
		ratios[i] = s[i] / base[i]
	}

	return ratios
}

// quantile returns the sample that the share of the others lies below, between two
// samples as it falls.
func (s series) quantile(share float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	at := share * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)

	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// row is one line of the table.
type row struct {
	what, target string
	samples      series
	format       func(float64) string
}

// table prints each row as soon as it is known.
type table struct {
	out  io.Writer
	rows []row
	err  error
}

// The widths of the columns, for the eye: the table is Markdown with any.
const layout = "| %-68s | %6s | %8s | %-15s |\n"

// head prints the names of the columns.
func (t *table) head() {
	t.printf(layout, "what", "target", "figure", "spread")
	t.printf("|---|---|---|---|\n")
}

// ratio adds a row of ratios.
func (t *table) ratio(what, target string, samples series) {
	t.add(row{what, target, samples, func(f float64) string { return fmt.Sprintf("%.*f", decimals(f), f) }})
}

// decimals leaves three digits of a ratio.
func decimals(f float64) int {
	switch {
	case f < 1:
		return 3
	case f < 10:
		return 2
	case f < 100:
		return 1
	default:
		return 0
	}
}

// count adds a row of numbers with one decimal.
func (t *table) count(what, target string, samples series) {
	t.add(row{what, target, samples, func(f float64) string { return fmt.Sprintf("%.1f", f) }})
}

// kibibytes adds a row of sizes, which the samples give in bytes.
func (t *table) kibibytes(what, target string, samples series) {
	t.add(row{what, target, samples, func(f float64) string { return fmt.Sprintf("%.0f KiB", f/1024) }})
}

// add prints the median and the quartiles of a row.
func (t *table) add(r row) {
	t.rows = append(t.rows, r)

	target := r.target
	if target == "" {
		target = "–"
	}

	t.printf(layout, r.what, target, r.format(r.samples.quantile(0.5)),
		r.format(r.samples.quantile(0.25))+"–"+r.format(r.samples.quantile(0.75)))
}

// printf keeps the first error of the writer, so that nobody has to ask each time.
func (t *table) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(t.out, format, args...); err != nil && t.err == nil {
		t.err = err
	}
}
