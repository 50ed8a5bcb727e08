// Package pending keeps account of the destinations of one packet until the
// outcome of each is known.
//
// Each destination is settled once: the first outcome counts, and what a peer
// says later or twice about it, or about a destination that was never asked for,
// is ignored. So a faulty peer can make nothing grow.
package pending

import (
	"sync"

	"github.com/minogrpc/session/mino"
)

// Set is the destinations of one packet. It may be used from several goroutines
// at once.
type Set struct {
	// each and done are called one at a time, with mu held: they must be short and
	// must not come back to the set.
	each func(dest mino.Address, err error)
	done func()

	mu   sync.Mutex
	left map[string]mino.Address
}

// New returns a set of the destinations by their address text. For each of them
// each is called once, with nil for a delivery, and after the last one done. An
// empty set is done at once.
func New(dests map[string]mino.Address, each func(mino.Address, error), done func()) *Set {
	s := &Set{each: each, done: done, left: dests}
	if len(dests) == 0 {
		done()
	}

	return s
}

// Settle reports the outcome of one destination. It returns false, and does
// nothing, when that is not pending.
func (s *Set) Settle(key string, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	dest, pending := s.left[key]
	if !pending {
		return false
	}

	delete(s.left, key)
	s.each(dest, err)

	if len(s.left) == 0 {
		s.done()
	}

	return true
}
