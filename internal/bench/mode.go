package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/minogrpc/session/minogrpc"
)

// mode is how the players of a world are linked. The stream between the orchestrator
// and the root is a duplex link in all of them.
type mode string

const (
	// duplex links carry everything over one stream, and are what nodes of this
	// library have by default.
	duplex mode = "duplex"

	// unicast links take a call for each packet, as with other implementations.
	unicast mode = "unicast"

	// mixed worlds have a unicast node in every fourth place, which makes about half of
	// the links unicast: both ends must want another. Packets change from one kind to
	// the other on their way.
	mixed mode = "mixed"
)

// allModes are the columns of the table.
var allModes = []mode{duplex, unicast, mixed}

// parseModes reads a list with commas.
func parseModes(text string) ([]mode, error) {
	var modes []mode

	for name := range strings.SplitSeq(text, ",") {
		if !slices.Contains(allModes, mode(name)) {
			return nil, fmt.Errorf("-mode: %q is none of %v", name, allModes)
		}

		modes = append(modes, mode(name))
	}

	return modes, nil
}

// options returns what makes a node a part of such a world.
func (m mode) options(node int) []minogrpc.Option {
	if m == unicast || m == mixed && node%4 == 0 {
		return []minogrpc.Option{minogrpc.WithoutDuplex()}
	}

	return nil
}

// linkModes returns the modes that make sense for a single link.
func (p plan) linkModes() []mode {
	return slices.DeleteFunc(slices.Clone(p.modes), func(m mode) bool { return m == mixed })
}

// linkCells returns the cells of a row about a single link: the figures of linkModes,
// and none for the others.
func (p plan) linkCells(figures []series) []series {
	cells := make([]series, len(p.modes))

	for i, m := range p.modes {
		if m != mixed {
			cells[i], figures = figures[0], figures[1:]
		}
	}

	return cells
}

// forEach starts something for each mode. What has been started before an error is
// there, too, for the caller to close.
func forEach[T any](modes []mode, start func(mode) (T, error)) ([]T, error) {
	var all []T

	for _, m := range modes {
		one, err := start(m)
		if err != nil {
			return all, err
		}

		all = append(all, one)
	}

	return all, nil
}
