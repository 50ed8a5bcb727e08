// Package provenance knows from whom a session may take a packet, and with which source.
//
// It is a book of neighbours, past ones included: what a lost neighbour has sent may still
// be under way. It holds routing tables and the texts of addresses. It has no lock: a
// Book belongs to the lock of its session, as the tables do that it asks.
package provenance

import (
	"slices"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// maxOver bounds the registrations that are over and still count.
const maxOver = 16

// Node is an address with its text, which is empty for an address that has none.
type Node struct {
	Key  string
	Addr mino.Address
}

// Registration is that of a parent: the text of its gateway, and the table that came with
// it.
type Registration struct {
	Key   string
	Table router.RoutingTable

	// Led is set when the table has led to a child. Then the table goes on saying what may
	// come from there.
	Led bool
}

// Book has the neighbours that a session has had, without its present parents: these are
// given to it where they matter. The zero Book is empty.
type Book struct {
	// children are those that the session has ever opened a link to, by their text.
	children map[string]mino.Address

	// over are registrations that are over, the oldest first.
	over []Registration
}

// Opened notes that the session has opened a link to a child.
func (b *Book) Opened(child Node) {
	if b.children == nil {
		b.children = make(map[string]mino.Address)
	}

	b.children[child.Key] = child.Addr
}

// Over notes that a registration is over. Of several registrations of the same gateway the
// last one counts, and those that have led to children.
func (b *Book) Over(reg Registration) {
	b.over = slices.DeleteFunc(b.over, func(r Registration) bool { return r.Key == reg.Key && !r.Led })
	if len(b.over) == maxOver {
		b.over = slices.Delete(b.over, 0, 1)
	}

	b.over = append(b.over, reg)
}

// Knows tells whether a node is or has been a neighbour. The current registrations are
// those of the present parents.
func (b *Book) Knows(key string, current []Registration) bool {
	_, child := b.children[key]

	return child || find(current, key) >= 0 || find(b.over, key) >= 0
}

// Admits tells whether a packet with that source may come from a neighbour: from above, if
// the neighbour is or was a parent, or from below, if it is or was a child. A table that is
// no [router.Sources] cannot tell, and admits any source.
//
// me is the text of the own address: what this node has sent comes from nowhere. Admits
// takes no memory. It does not contain a panic of a table.
func (b *Book) Admits(me string, from, source Node, current []Registration) bool {
	q := question{me: me, source: source}

	return b.fromAbove(q, from, current) || b.fromBelow(q, from, current)
}

// Behind tells whether a player can be behind a neighbour that is or was a child, or is that neighbour.
// It is Admits for what the neighbour tells about the player.
func (b *Book) Behind(me string, from, player Node, current []Registration) bool {
	return b.fromBelow(question{me: me, source: player}, from, current)
}

// fromAbove asks the table of the neighbour's registration, or of its last one.
func (b *Book) fromAbove(q question, from Node, current []Registration) bool {
	i := find(current, from.Key)
	if i >= 0 {
		return q.mayCome(current[i].Table, nil)
	}

	for _, reg := range slices.Backward(b.over) {
		if reg.Key == from.Key {
			return q.mayCome(reg.Table, nil)
		}
	}

	return false
}

// fromBelow asks all tables. A link is also used by the tables that come after the one that
// has led to it, and what that table has made of the child stays as it is when the
// registration is over.
func (b *Book) fromBelow(q question, from Node, current []Registration) bool {
	_, child := b.children[from.Key]
	if !child {
		return false
	}

	for _, list := range [...][]Registration{current, b.over} {
		for _, reg := range list {
			if q.mayCome(reg.Table, from.Addr) {
				return true
			}
		}
	}

	return false
}

// PassedOver returns the texts of the children in whose place the session opens a link to a
// child that was behind them. They may only be out of reach from here: when this node is
// lost in its turn, the others go by them again, and the child must know them for its
// ancestors. Only a table that is a [router.Sources] can tell.
func (b *Book) PassedOver(table router.RoutingTable, child Node) []string {
	sources, ok := table.(router.Sources)
	if !ok {
		return nil
	}

	var keys []string

	for key, other := range b.children {
		if key == child.Key {
			continue
		}

		behind, err := contain.Call(func() (bool, error) { return sources.MayCome(child.Addr, other), nil })
		if err == nil && behind {
			keys = append(keys, key)
		}
	}

	return keys
}

// find returns the place of the registration of a gateway, or -1.
func find(list []Registration, key string) int {
	return slices.IndexFunc(list, func(r Registration) bool { return r.Key == key })
}

// question is what the tables are asked about a packet.
type question struct {
	me     string
	source Node
}

// mayCome asks a table whether the packet may come from a child, where nil is the parent.
func (q question) mayCome(table router.RoutingTable, from mino.Address) bool {
	sources, ok := table.(router.Sources)
	if !ok {
		return true
	}

	return q.source.Key != "" && q.source.Key != q.me && sources.MayCome(q.source.Addr, from)
}
