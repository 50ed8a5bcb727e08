package tree

import (
	"iter"
	"sort"

	"github.com/minogrpc/session/router/internal/message"
)

// branches returns the number of children of a node that is to reach n players
// within the height, which is at least 1.
func branches(height, n int) int {
	extra := sort.Search(n, func(i int) bool { return fits(height, minBranches+i, n) })

	return min(minBranches+extra, n)
}

// fits tells whether a node reaches n players within the height when every node
// has b children: whether b + b^2 + ... + b^height >= n. No level but the last has n
// players, so that the numbers stay below n * b + n: too much for an int of 32 bits.
func fits(height, b, n int) bool {
	sum, level := int64(0), int64(1)

	for range height {
		level *= int64(b)
		sum += level

		if sum >= int64(n) {
			return true
		}
	}

	return false
}

// split divides the players among the children: contiguous parts in the order of
// the list, whose sizes differ by at most one. The largest is then no larger than
// what fits below a child, because a tree of b branches with one level less has
// room for a b-th of the players less the child itself.
func split(height int, list message.Players) iter.Seq[message.Players] {
	return func(yield func(message.Players) bool) {
		n := list.Len()
		b := branches(height, n)

		for i := range b {
			if !yield(list.Slice(bound(i, n, b), bound(i+1, n, b))) {
				return
			}
		}
	}
}

// bound returns where part i of b parts of n players begins: i * n / b. The product is
// too much for an int of 32 bits.
func bound(i, n, b int) int {
	return int(int64(i) * int64(n) / int64(b))
}
