// Package pending keeps account of the destinations of one packet until the
// outcome of each is known.
//
// Each destination is settled once: the first outcome counts, and what a peer
// says later or twice about it, or about a destination that was never asked for,
// is ignored. So a faulty peer can make nothing grow.
package pending

import (
	"slices"
	"sync"
)

// few is the number of destinations up to which it is cheaper to look through the
// list than to make an index of it. Most packets have one. It is at most the number
// of bits in Set.settled.
const few = 8

// Set is the destinations of one packet. It may be used from several goroutines
// at once.
type Set struct {
	// keys never change.
	keys []string

	waiter Waiter

	mu sync.Mutex

	// left is how many destinations are pending.
	left int

	// index has the places of those that are pending. It is nil for a few.
	index map[string]int

	// settled has a bit for the place of each of a few that is not pending any more.
	settled uint8

	// rare is what few packets have. It is nil for most.
	rare *rare
}

// rare is what few packets have.
type rare struct {
	// doubts has the destinations that are in doubt, and why.
	doubts map[string]error
	// tag is what the owner wants to find again.
	tag any
}

// Waiter is told the outcomes.
type Waiter interface {
	// Settled is called once for each destination, with its place, with how many are
	// still pending, and with nil for a delivery. It is called one at a time, under the
	// lock of the set: it must be short and must not come back to the set.
	Settled(i, left int, err error)
}

// Func is a function as a Waiter.
type Func func(i, left int, err error)

// Settled implements Waiter.
func (f Func) Settled(i, left int, err error) { f(i, left, err) }

// New returns a set of the destinations with these address texts, which must not change
// any more. A key that is there twice is one destination.
func New(keys []string, waiter Waiter) *Set {
	s := new(Set)
	s.Init(keys, waiter)

	return s
}

// Init makes what New returns of a zero Set, for an owner that has the memory for it.
func (s *Set) Init(keys []string, waiter Waiter) {
	s.keys, s.waiter = keys, waiter

	if len(keys) <= few {
		s.left = distinct(keys)
	} else {
		s.index = make(map[string]int, len(keys))
		for i, key := range keys {
			s.index[key] = i
		}

		s.left = len(s.index)
	}
}

// distinct returns the number of different keys among a few.
func distinct(keys []string) int {
	n := 0

	for i, key := range keys {
		if !slices.Contains(keys[:i], key) {
			n++
		}
	}

	return n
}

// Settle reports the outcome of one destination. It returns false, and does
// nothing, when that is not pending.
func (s *Set) Settle(key string, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	i, pending := s.takeLocked(key)
	if !pending {
		return false
	}

	s.left--
	s.waiter.Settled(i, s.left, err)

	return true
}

// Doubt notes that a copy for a destination is out of sight: nobody will tell whether it arrives.
// The cause is why. The first one counts.
func (s *Set) Doubt(key string, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	r := s.rareLocked()
	if r.doubts == nil {
		r.doubts = make(map[string]error)
	}

	if r.doubts[key] == nil {
		r.doubts[key] = cause
	}
}

// InDoubt returns why a copy for a destination is out of sight, or nil if none is.
func (s *Set) InDoubt(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.rare == nil {
		return nil
	}

	return s.rare.doubts[key]
}

// SetTag gives the set something that its owner wants to find again.
func (s *Set) SetTag(tag any) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.rareLocked().tag = tag
}

// Tag returns what SetTag has given the set, or nil.
func (s *Set) Tag() any {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.rare == nil {
		return nil
	}

	return s.rare.tag
}

// rareLocked returns what few packets have.
func (s *Set) rareLocked() *rare {
	if s.rare == nil {
		s.rare = &rare{}
	}

	return s.rare
}

// takeLocked returns the place of a destination that is not pending from now on, and
// false when it is not already. Of a key that is there twice it knows one place only.
func (s *Set) takeLocked(key string) (int, bool) {
	if s.index != nil {
		i, pending := s.index[key]
		delete(s.index, key)

		return i, pending
	}

	i := slices.Index(s.keys, key)
	if i < 0 || s.settled&(1<<i) != 0 {
		return 0, false
	}

	s.settled |= 1 << i

	return i, true
}
