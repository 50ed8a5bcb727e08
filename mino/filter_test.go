package mino_test

import (
	"slices"
	"testing"

	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// apply returns the selection that the filters leave.
func apply(filters ...mino.FilterUpdater) []int {
	return mino.ApplyFilters(filters).Indices
}

func TestFilters_EachDoesWhatItSays(t *testing.T) {
	list := mino.ListFilter([]int{3, 1, 2})

	for name, tt := range map[string]struct{ got, want []int }{
		"none":                   {apply(), []int{}},
		"list":                   {apply(list), []int{3, 1, 2}},
		"list replaces":          {apply(mino.IndexFilter(9), list), []int{3, 1, 2}},
		"index sorts":            {apply(list, mino.IndexFilter(0)), []int{0, 1, 2, 3}},
		"index once":             {apply(list, mino.IndexFilter(2)), []int{1, 2, 3}},
		"reject":                 {apply(list, mino.RejectFilter(1)), []int{3, 2}},
		"reject a stranger":      {apply(list, mino.RejectFilter(9)), []int{3, 1, 2}},
		"range":                  {apply(mino.RangeFilter(2, 5)), []int{2, 3, 4}},
		"range adds":             {apply(list, mino.RangeFilter(2, 5)), []int{1, 2, 3, 4}},
		"empty range":            {apply(mino.RangeFilter(5, 2)), []int{}},
		"rotate to the left":     {apply(list, mino.RotateFilter(1)), []int{1, 2, 3}},
		"rotate to the right":    {apply(list, mino.RotateFilter(-1)), []int{2, 3, 1}},
		"rotate all around":      {apply(list, mino.RotateFilter(7)), []int{1, 2, 3}},
		"rotate nothing":         {apply(mino.RotateFilter(1)), []int{}},
		"random, none of them":   {apply(list, mino.RandomFilter(0)), []int{}},
		"random, less than none": {apply(list, mino.RandomFilter(-1)), []int{}},
	} {
		require.Equal(t, tt.want, tt.got, name)
	}
}

func TestFilters_RotationIsUndoneByItsOpposite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		indices := rapid.SliceOfN(rapid.Int(), 1, 20).Draw(t, "indices")
		n := rapid.IntRange(-100, 100).Draw(t, "n")

		got := apply(mino.ListFilter(indices), mino.RotateFilter(n), mino.RotateFilter(-n))

		require.Equal(t, indices, got)
	})
}

func TestFilters_RandomKeepsAPartOfTheSelection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 20).Draw(t, "size")
		count := rapid.IntRange(0, 30).Draw(t, "count")

		got := apply(mino.RangeFilter(0, size), mino.RandomFilter(count))

		require.Len(t, got, min(size, count))
		slices.Sort(got)
		require.Len(t, slices.Compact(got), min(size, count))
		require.Subset(t, apply(mino.RangeFilter(0, size)), got)
	})
}

func TestFilters_NeverWriteToTheListOfTheCaller(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		indices := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 20).Draw(t, "indices")
		before := slices.Clone(indices)

		next := rapid.SampledFrom([]mino.FilterUpdater{
			mino.RotateFilter(1),
			mino.IndexFilter(4),
			mino.RejectFilter(4),
			mino.RangeFilter(2, 6),
			mino.RandomFilter(3),
		})

		// A filter of the application's own may put its slice into the selection.
		own := func(f *mino.Filter) { f.Indices = indices }
		apply(own, next.Draw(t, "first"), next.Draw(t, "second"))
		apply(mino.ListFilter(indices), next.Draw(t, "third"), next.Draw(t, "fourth"))

		require.Equal(t, before, indices)
	})
}
