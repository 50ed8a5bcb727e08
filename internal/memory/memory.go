// Package memory counts the bytes that several queues hold together.
package memory

import (
	"errors"
	"sync/atomic"
)

// ErrExhausted says that a budget has too little left.
var ErrExhausted = errors.New("the memory budget of the node is used up")

// Budget is a number of bytes that may be held at once. A nil Budget has no limit.
// It may be used from several goroutines at once.
type Budget struct {
	limit int64
	used  atomic.Int64
	// whole is what this is a part of, or nil.
	whole *Budget
}

// NewBudget returns a budget of that many bytes.
func NewBudget(limit int) *Budget {
	return &Budget{limit: int64(limit)}
}

// Part returns a budget of that many bytes that takes what it gives from this one.
func (b *Budget) Part(limit int) *Budget {
	return &Budget{limit: int64(limit), whole: b}
}

// What ReserveSpare may take beyond the limit: a part of that, and no less than some bytes.
const (
	sparePart  = 4
	leastSpare = 1 << 20
)

// Reserve takes n bytes, or returns false and takes nothing when there are not as
// many left, here or in what this is a part of.
func (b *Budget) Reserve(n int) bool {
	return b.reserve(n, false)
}

// ReserveSpare is Reserve for what has to find room when the budget is used up, such as the news that
// it is. The limit is a quarter higher for that.
func (b *Budget) ReserveSpare(n int) bool {
	return b.reserve(n, true)
}

func (b *Budget) reserve(n int, spare bool) bool {
	if b == nil {
		return true
	}

	limit := b.limit
	if spare {
		limit += max(limit/sparePart, leastSpare)
	}

	for {
		used := b.used.Load()
		if used+int64(n) > limit {
			return false
		}

		if b.used.CompareAndSwap(used, used+int64(n)) {
			break
		}
	}

	if b.whole.reserve(n, spare) {
		return true
	}

	b.used.Add(-int64(n))

	return false
}

// Release gives back what Reserve has taken.
func (b *Budget) Release(n int) {
	for ; b != nil; b = b.whole {
		b.used.Add(-int64(n))
	}
}

// Used returns the bytes that are taken.
func (b *Budget) Used() int {
	if b == nil {
		return 0
	}

	return int(b.used.Load())
}
