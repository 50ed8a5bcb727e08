package memory

import (
	"cmp"
	"slices"
)

// Usage is what a peer holds of a budget.
type Usage struct {
	Name  string
	Bytes int
}

// Usage returns the peers that hold most, at most n of them, the first the most, and how many others
// hold something.
func (s *Shares) Usage(n int) (most []Usage, more int) {
	s.mu.Lock()

	var all []Usage

	for name, p := range s.parts {
		if used := p.Used(); used > 0 {
			all = append(all, Usage{name, used})
		}
	}
	s.mu.Unlock()

	slices.SortFunc(all, func(a, b Usage) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})

	if len(all) <= n {
		return all, 0
	}

	return all[:n:n], len(all) - n
}

// Limit returns the bytes that may be held.
func (b *Budget) Limit() int {
	return int(b.limit)
}
