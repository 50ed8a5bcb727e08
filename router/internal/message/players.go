package message

import (
	"fmt"
	"slices"

	"github.com/minogrpc/session/mino"
)

// Player is an address with its text form.
type Player struct {
	Addr mino.Address
	Text string
}

// Players is a list of addresses with their text forms, index by index. Lookups
// and comparisons go by the text, because an address may be of any type: one that
// cannot be hashed, or one that is equal to several others. A packet may hold an
// address that cannot be sent: its text is empty.
type Players struct {
	Addrs []mino.Address
	Texts []string
}

// Room returns an empty list with room for n players.
func Room(n int) Players {
	if n == 1 {
		// Most packets have one destination: this is one allocation less for each.
		var one struct {
			addr [1]mino.Address
			text [1]string
		}

		return Players{Addrs: one.addr[:0], Texts: one.text[:0]}
	}

	return Players{Addrs: make([]mino.Address, 0, n), Texts: make([]string, 0, n)}
}

// Len returns the number of players.
func (p Players) Len() int { return len(p.Addrs) }

// Slice returns the players from <= i < to. It shares their memory, but its With
// does not write there.
func (p Players) Slice(from, to int) Players {
	return Players{Addrs: p.Addrs[from:to:to], Texts: p.Texts[from:to:to]}
}

// With returns the list with one more, as append does: the list itself is used up.
func (p Players) With(addr mino.Address, text string) Players {
	return Players{Addrs: append(p.Addrs, addr), Texts: append(p.Texts, text)}
}

// WithAll is With for all those of another list.
func (p Players) WithAll(list Players) Players {
	return Players{Addrs: append(p.Addrs, list.Addrs...), Texts: append(p.Texts, list.Texts...)}
}

// Sendable returns an error when another node would refuse an address, and all the
// others with it.
func (p Players) Sendable() error {
	i := slices.Index(p.Texts, "")
	if i >= 0 {
		return fmt.Errorf("address %v cannot be sent", p.Addrs[i])
	}

	return nil
}

// Few is the length up to which a list is looked through faster than a map of it is
// made.
const Few = 16

// Distinct is a list under construction that holds each text once.
type Distinct struct {
	Players

	// seen is nil for a list that has few players at the end.
	seen map[string]struct{}
}

// NewDistinct returns an empty list for at most n players.
func NewDistinct(n int) *Distinct {
	d := &Distinct{Players: Room(n)}
	if n > Few {
		d.seen = make(map[string]struct{}, n)
	}

	return d
}

// Add appends a player, unless its text is there already: then it returns false.
func (d *Distinct) Add(addr mino.Address, text string) bool {
	if d.has(text) {
		return false
	}

	if d.seen != nil {
		d.seen[text] = struct{}{}
	}

	d.Players = d.With(addr, text)

	return true
}

// AddAny is Add for an address that may be one that cannot be sent: without a text it
// stays in the list, so that somebody reports it.
func (d *Distinct) AddAny(addr mino.Address, text string) {
	if text == "" {
		d.Players = d.With(addr, text)
	} else {
		d.Add(addr, text)
	}
}

func (d *Distinct) has(text string) bool {
	if d.seen == nil {
		return slices.Contains(d.Texts, text)
	}

	_, found := d.seen[text]

	return found
}
