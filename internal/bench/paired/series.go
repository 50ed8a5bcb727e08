package paired

import (
	"fmt"
	"slices"
)

// Series are the samples of one figure, one for each round.
type Series []float64

// Over returns the ratio of each round.
func (s Series) Over(base Series) Series {
	ratios := make(Series, len(s))
	for i := range s {
		ratios[i] = s[i] / base[i]
	}

	return ratios
}

// Quantile returns the sample that the share of the others lies below, between two
// samples as it falls.
func (s Series) Quantile(share float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	at := share * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)

	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// Text returns the median, and in brackets the first and the third quartile.
func (s Series) Text(format func(float64) string) string {
	return fmt.Sprintf("%s (%s–%s)", format(s.Quantile(0.5)), format(s.Quantile(0.25)), format(s.Quantile(0.75)))
}

// Ratio prints a ratio with three digits.
func Ratio(f float64) string {
	decimals := 0

	switch {
	case f < 1:
		decimals = 3
	case f < 10:
		decimals = 2
	case f < 100:
		decimals = 1
	}

	return fmt.Sprintf("%.*f", decimals, f)
}
