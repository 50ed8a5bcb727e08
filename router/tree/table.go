package tree

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// errSelf is the reason of a void for the node itself, which its session is to
// take out of a packet before it asks for routes.
var errSelf = errors.New("the node has no route to itself")

// errAddress is the reason of a void for an address that cannot be sent.
var errAddress = errors.New("the address is empty or malformed")

// table implements router.RoutingTable and router.Subtree.
type table struct {
	router *treeRouter

	// me is the text of the own address, nil where the node was not told.
	me []byte

	// gateways has the child that is the next hop for each player below, by text.
	// The child itself is among them.
	gateways map[string]*child
}

// child is one neighbour below.
type child struct {
	addr mino.Address
	text []byte

	// height is that of the child's own tree, and rest the players it reaches. A
	// lost child reaches nobody.
	height int
	rest   players

	// lostUntil is when the child is tried again. It is zero, or in the past, for
	// one that is not known to be lost.
	lostUntil time.Time
}

// adopt makes children out of the players, as many as the height asks for.
func (t *table) adopt(height int, list players) {
	height = max(height, 1)

	for part := range split(height, list) {
		c := &child{
			addr:   part.addrs[0],
			text:   part.texts[0],
			height: height - 1,
			rest:   part.slice(1, part.len()),
		}

		for _, text := range part.texts {
			t.gateways[string(text)] = c
		}
	}
}

// child returns the neighbour with the address, or nil when there is none below.
func (t *table) child(addr mino.Address) *child {
	if addr == nil {
		return nil
	}

	text, err := addr.MarshalText()
	if err != nil {
		return nil
	}

	c := t.gateways[string(text)]
	if c == nil || !bytes.Equal(c.text, text) {
		return nil
	}

	return c
}

// Make implements router.RoutingTable. A destination that is there twice counts
// once.
func (t *table) Make(src mino.Address, to []mino.Address, msg []byte) router.Packet {
	return t.pack(src, to, msg)
}

// pack is Make with the type that it returns.
func (t *table) pack(src mino.Address, to []mino.Address, msg []byte) *packet {
	p := &packet{source: src, dest: t.router.reader.collect(to), message: msg}

	text, err := t.router.reader.textOf(src)
	if err == nil {
		p.sourceText = text
	}

	return p
}

// PrepareHandshakeFor implements router.RoutingTable. An address that is no
// neighbour below gets the handshake of a leaf.
func (t *table) PrepareHandshakeFor(to mino.Address) router.Handshake {
	c := t.child(to)
	if c == nil {
		return &handshake{}
	}

	return &handshake{height: c.height, players: c.rest}
}

// Forward implements router.RoutingTable.
func (t *table) Forward(p router.Packet) (router.Routes, router.Voids) {
	own := t.own(p)
	now := time.Now()
	parts := make(map[*child]*packet) // nil is the parent
	voids := make(router.Voids)

	for i, addr := range own.dest.addrs {
		text := own.dest.texts[i]

		next, err := t.next(text, now)
		if err != nil {
			voids[t.voidKey(addr, text)] = router.Void{Error: err}
			continue
		}

		part := parts[next]
		if part == nil {
			part = own.forNobody()
			parts[next] = part
		}

		part.dest = part.dest.with(addr, text)
	}

	return routesOf(parts), voids
}

// own returns the packet as one of this package. One of another kind is read
// through its interface.
func (t *table) own(p router.Packet) *packet {
	own, ok := p.(*packet)
	if ok {
		return own
	}

	return t.pack(p.GetSource(), p.GetDestination(), p.GetMessage())
}

// next returns the next hop for a text, nil for the parent, or an error when there
// is no way.
func (t *table) next(text []byte, now time.Time) (*child, error) {
	if text == nil {
		return nil, errAddress
	}

	if bytes.Equal(text, t.me) {
		return nil, errSelf
	}

	c := t.gateways[string(text)]
	if c != nil && now.Before(c.lostUntil) {
		return nil, fmt.Errorf("%w: the node was lost, it is tried again in %v",
			router.ErrUnreachable, c.lostUntil.Sub(now).Round(time.Millisecond))
	}

	return c, nil
}

// voidKey returns the address, or the factory's form of it when the address cannot
// be the key of a map, or nil when neither can.
func (t *table) voidKey(addr mino.Address, text []byte) mino.Address {
	if hashable(addr) {
		return addr
	}

	addr = t.router.reader.FromText(text)
	if hashable(addr) {
		return addr
	}

	return nil
}

// routesOf returns the parts by the address of the next hop.
func routesOf(parts map[*child]*packet) router.Routes {
	routes := make(router.Routes, len(parts))

	for c, part := range parts {
		if c == nil {
			routes[nil] = part
		} else {
			routes[c.addr] = part
		}
	}

	return routes
}

// OnFailure implements router.RoutingTable. The children of the lost neighbour
// become children of this node, each with the players and the height that it had.
// The neighbour itself stays as a leaf: until the pause is over Forward gives a
// void for it that wraps router.ErrUnreachable, and then a route again.
//
// It returns an error that wraps router.ErrUnreachable when there was nobody
// behind the neighbour, and another when the address is no neighbour below. It
// takes a time linear in the number of players behind the neighbour.
func (t *table) OnFailure(to mino.Address) error {
	c := t.child(to)
	if c == nil {
		return fmt.Errorf("%v is not a neighbour below", to)
	}

	orphans, height := c.rest, c.height
	c.rest, c.height = players{}, 0
	c.lostUntil = time.Now().Add(t.router.retryAfter)

	if orphans.len() == 0 {
		return fmt.Errorf("%w: nobody is behind %v", router.ErrUnreachable, to)
	}

	t.adopt(height, orphans)

	return nil
}

// Descendants implements router.Subtree. An address that is no neighbour below
// has none.
func (t *table) Descendants(gateway mino.Address) []mino.Address {
	c := t.child(gateway)
	if c == nil {
		return nil
	}

	return slices.Clone(c.rest.addrs)
}
