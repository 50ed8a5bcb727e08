package matrix_test

import (
	"fmt"
	"slices"
	"strings"
)

// kind is of which implementation a node is.
type kind string

const (
	ours     kind = "ours"
	existing kind = "existing"

	// nobody stands for the kind of the interior nodes where there are none.
	nobody kind = "nobody"
)

// place is where the node of the orchestrator is in the tree.
type place string

const (
	outside    place = "outside"
	atRoot     place = "root"
	atInterior place = "interior"
	atLeaf     place = "leaf"
)

// mixture is one case.
type mixture struct {
	orchestrator, root, interior, leaf kind

	place   place
	players int
	height  int
	tls     bool
}

func (m mixture) String() string {
	security := "plain"
	if m.tls {
		security = "tls"
	}

	return fmt.Sprintf("orchestrator=%v,root=%v,interior=%v,leaf=%v,on=%v,n=%d,height=%d,%s",
		m.orchestrator, m.root, m.interior, m.leaf, m.place, m.players, m.height, security)
}

// mixtures returns all cases.
func mixtures() []mixture {
	all := []mixture{{}}

	all = choose(all, []int{2, 3, 5, 8, 15}, func(m *mixture, n int) { m.players = n })
	all = choose(all, []int{1, 2, 3}, func(m *mixture, height int) { m.height = height })
	all = choose(all, []bool{false, true}, func(m *mixture, secure bool) { m.tls = secure })
	all = choose(all, []place{outside, atRoot, atInterior, atLeaf}, func(m *mixture, p place) { m.place = p })

	kinds := []kind{ours, existing}
	all = choose(all, kinds, func(m *mixture, k kind) { m.orchestrator = k })
	all = choose(all, kinds, func(m *mixture, k kind) { m.root = k })
	all = choose(all, kinds, func(m *mixture, k kind) { m.leaf = k })
	all = choose(all, []kind{ours, existing, nobody}, func(m *mixture, k kind) { m.interior = k })

	return slices.DeleteFunc(all, func(m mixture) bool { return !m.isPossible() })
}

// choose returns each case with each of the values.
func choose[T any](all []mixture, values []T, set func(*mixture, T)) []mixture {
	chosen := make([]mixture, 0, len(all)*len(values))

	for _, m := range all {
		for _, value := range values {
			set(&m, value)
			chosen = append(chosen, m)
		}
	}

	return chosen
}

// isPossible tells whether the tree has the interior nodes of the case and the node of the
// orchestrator can be what it is there, and whether there are nodes of both kinds.
func (m mixture) isPossible() bool {
	kinds := []kind{m.orchestrator, m.root, m.interior, m.leaf}
	deep := slices.Contains(shape(m.players, m.height), atInterior)

	return deep == (m.interior != nobody) && (m.place == outside || m.kindAt(m.place) == m.orchestrator) &&
		slices.Contains(kinds, ours) && slices.Contains(kinds, existing)
}

func (m mixture) kindAt(p place) kind {
	switch p {
	case atRoot:
		return m.root
	case atInterior:
		return m.interior
	case atLeaf:
		return m.leaf
	case outside:
	}

	return m.orchestrator
}

// shape returns where each of the players is in the tree, in their order. Both kinds of
// nodes build the same tree of so few: five branches, in contiguous parts.
func shape(n, height int) []place {
	places := []place{atRoot}
	rest := n - 1
	b := min(5, rest)

	if height == 1 {
		b = rest
	}

	for i := range b {
		size := (i+1)*rest/b - i*rest/b
		first := atLeaf

		if size > 1 {
			first = atInterior
		}

		places = append(places, first)

		for range size - 1 {
			places = append(places, atLeaf)
		}
	}

	return places
}

// choices returns what a case has chosen, with a name for each.
func (m mixture) choices() []string {
	return strings.Split(m.String(), ",")
}

// pairwise returns cases in which every pair of choices is that is in any case: the one with
// the most new pairs first.
func pairwise(all []mixture) []mixture {
	left := make(map[[2]string]bool)
	for _, m := range all {
		for _, pair := range pairsOf(m) {
			left[pair] = true
		}
	}

	var chosen []mixture

	for len(left) > 0 {
		best, most := mixture{}, 0

		for _, m := range all {
			fresh := 0

			for _, pair := range pairsOf(m) {
				if left[pair] {
					fresh++
				}
			}

			if fresh > most {
				best, most = m, fresh
			}
		}

		chosen = append(chosen, best)

		for _, pair := range pairsOf(best) {
			delete(left, pair)
		}
	}

	return chosen
}

func pairsOf(m mixture) [][2]string {
	var pairs [][2]string

	choices := m.choices()
	for i, a := range choices {
		for _, b := range choices[i+1:] {
			pairs = append(pairs, [2]string{a, b})
		}
	}

	return pairs
}
