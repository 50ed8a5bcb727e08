package mino

import (
	"math/rand/v2"
	"slices"
)

// Filter is a selection of players by their indices in a list.
type Filter struct {
	// Indices are the indices of the selected players, in the order of the selection.
	Indices []int
}

// FilterUpdater changes a selection.
type FilterUpdater func(*Filter)

// ApplyFilters starts with an empty selection and applies the filters in their
// order.
func ApplyFilters(filters []FilterUpdater) *Filter {
	f := &Filter{Indices: []int{}}
	for _, update := range filters {
		update(f)
	}

	return f
}

// RotateFilter rotates the selection by n to the left; a negative n rotates to
// the right.
func RotateFilter(n int) FilterUpdater {
	return func(f *Filter) {
		size := len(f.Indices)
		if size == 0 {
			return
		}

		k := (n%size + size) % size
		f.Indices = slices.Concat(f.Indices[k:], f.Indices[:k])
	}
}

// IndexFilter adds one index, unless it is there already, and sorts the selection.
func IndexFilter(index int) FilterUpdater {
	return RangeFilter(index, index+1)
}

// RejectFilter removes one index.
func RejectFilter(index int) FilterUpdater {
	return func(f *Filter) {
		f.Indices = slices.DeleteFunc(slices.Clone(f.Indices), func(i int) bool { return i == index })
	}
}

// RangeFilter adds every index i with start <= i < end, unless it is there
// already, and sorts the selection.
func RangeFilter(start, end int) FilterUpdater {
	return func(f *Filter) {
		indices := slices.Clone(f.Indices)
		for i := start; i < end; i++ {
			indices = append(indices, i)
		}

		slices.Sort(indices)
		f.Indices = slices.Compact(indices)
	}
}

// ListFilter replaces the selection. The slice is copied.
func ListFilter(indices []int) FilterUpdater {
	return func(f *Filter) {
		f.Indices = slices.Clone(indices)
	}
}

// RandomFilter shuffles the selection and keeps at most count of it. The choice is fair, but not
// fit for cryptography.
func RandomFilter(count int) FilterUpdater {
	return func(f *Filter) {
		indices := slices.Clone(f.Indices)
		rand.Shuffle(len(indices), func(i, j int) { indices[i], indices[j] = indices[j], indices[i] })
		f.Indices = indices[:min(max(count, 0), len(indices))]
	}
}
