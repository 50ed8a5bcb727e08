package tree

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/minogrpc/session/mino"
)

// players is a list of addresses with their text forms, index by index. Lookups
// and comparisons go by the text, because an address may be of any type: one that
// cannot be hashed, or one that is equal to several others. A packet may hold an
// address that cannot be sent: its text is empty.
type players struct {
	addrs []mino.Address
	texts []string
}

// room returns an empty list with room for n players.
func room(n int) players {
	if n == 1 {
		// Most packets have one destination: this is one allocation less for each.
		var one struct {
			addr [1]mino.Address
			text [1]string
		}

		return players{addrs: one.addr[:0], texts: one.text[:0]}
	}

	return players{addrs: make([]mino.Address, 0, n), texts: make([]string, 0, n)}
}

func (p players) len() int { return len(p.addrs) }

// slice returns the players from <= i < to. It shares their memory, but its with
// does not write there.
func (p players) slice(from, to int) players {
	return players{addrs: p.addrs[from:to:to], texts: p.texts[from:to:to]}
}

// with returns the list with one more, as append does: the list itself is used up.
func (p players) with(addr mino.Address, text string) players {
	return players{addrs: append(p.addrs, addr), texts: append(p.texts, text)}
}

// withAll is with for all those of another list.
func (p players) withAll(list players) players {
	return players{addrs: append(p.addrs, list.addrs...), texts: append(p.texts, list.texts...)}
}

// sendable returns an error when another node would refuse an address, and all the
// others with it.
func (p players) sendable() error {
	i := slices.Index(p.texts, "")
	if i >= 0 {
		return fmt.Errorf("address %v cannot be sent", p.addrs[i])
	}

	return nil
}

// fewPlayers is the length up to which a list is looked through faster than a map
// of it is made.
const fewPlayers = 16

// distinct is a list under construction that holds each text once.
type distinct struct {
	players

	// seen is nil for a list that has few players at the end.
	seen map[string]struct{}
}

// newDistinct returns an empty list for at most n players.
func newDistinct(n int) *distinct {
	d := &distinct{players: room(n)}
	if n > fewPlayers {
		d.seen = make(map[string]struct{}, n)
	}

	return d
}

// add appends a player, unless its text is there already: then it returns false.
func (d *distinct) add(addr mino.Address, text string) bool {
	if d.has(text) {
		return false
	}

	if d.seen != nil {
		d.seen[text] = struct{}{}
	}

	d.players = d.with(addr, text)

	return true
}

func (d *distinct) has(text string) bool {
	if d.seen == nil {
		return slices.Contains(d.texts, text)
	}

	_, found := d.seen[text]

	return found
}

// hashable tells whether the address can be the key of a map. A nil address can.
func hashable(addr mino.Address) bool {
	return addr == nil || reflect.ValueOf(addr).Comparable()
}
