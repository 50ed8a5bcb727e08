package tree

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/internal/message"
	"github.com/minogrpc/session/router/tree/types"
)

// errSelf is the reason of a void for the node itself, which its session is to
// take out of a packet before it asks for routes.
var errSelf = errors.New("the node has no route to itself")

// errAddress is the reason of a void for an address that cannot be sent.
var errAddress = errors.New("the address is empty or malformed")

// perPlayer is what a table takes for each player beside its text, in bytes: the address, its places
// in the list of a child and in the map. It was measured, and is rounded up.
const perPlayer = 128

// table implements router.RoutingTable, and all its optional interfaces.
type table struct {
	router *treeRouter

	// weight estimates what the table takes in memory, in bytes. The loss of a child moves its
	// players to others, and adds none.
	weight int

	// me is the text of the own address, empty where the node was not told, and where it
	// may be that of a player above.
	me string

	// gateways has the child that is the next hop for each player below, by text.
	// The child itself is among them.
	gateways map[string]*child

	// up stands for the parent, who is the next hop for all others.
	up child
}

// child is one neighbour below.
type child struct {
	// addr is nil for the parent.
	addr mino.Address
	text string

	// height is that of the child's own tree, and rest the players it reaches. A
	// lost child reaches nobody.
	height int
	rest   message.Players

	// lostUntil is when the child is tried again. It is zero, or in the past, for
	// one that is not known to be lost.
	lostUntil time.Time

	// before is the lost child through which this one was reached, if there was one. A
	// chain of these is no longer than the tree is high.
	before *child

	// share is what Forward is about to send there. It is zero in between.
	share share
}

// share is the part of a packet for one next hop.
type share struct {
	size int
	part *message.Packet
}

// adopt makes children out of the players, as many as the height asks for. They were
// reached through the child before, which is nil in the beginning.
func (t *table) adopt(height int, list message.Players, before *child) {
	height = max(height, 1)

	for part := range split(height, list) {
		c := &child{
			addr:   part.Addrs[0],
			text:   part.Texts[0],
			height: height - 1,
			rest:   part.Slice(1, part.Len()),
			before: before,
		}

		for _, text := range part.Texts {
			t.gateways[text] = c
		}
	}
}

// child returns the neighbour with the address, or nil when there is none below.
func (t *table) child(addr mino.Address) *child {
	c, _, neighbour := t.lookup(addr)
	if !neighbour {
		return nil
	}

	return c
}

// lookup returns the child that leads to a player below, or nil, and whether the address
// is that of the child itself. It is not valid when it has no text, or that of this node.
func (t *table) lookup(addr mino.Address) (c *child, valid, neighbour bool) {
	if addr == nil {
		return nil, false, false
	}

	s := message.Borrow()
	defer s.Return()

	text, err := s.Text(addr)
	if err != nil || len(text) == 0 {
		return nil, false, false
	}

	c = t.gateways[string(text)]

	return c, string(text) != t.me, c != nil && c.text == string(text)
}

// Make implements router.RoutingTable. A destination that is there twice counts
// once.
func (t *table) Make(src mino.Address, to []mino.Address, msg []byte) router.Packet {
	return (*types.Packet)(message.MakePacket(t.router.reader, src, to, msg))
}

// MakeAnytime implements router.Maker: what a packet is does not depend on the players.
func (t *table) MakeAnytime(src mino.Address, to []mino.Address, msg []byte) router.Packet {
	return t.Make(src, to, msg)
}

// Weight implements router.Weighted.
func (t *table) Weight() int {
	return t.weight
}

// PrepareHandshakeFor implements router.RoutingTable. An address that is no
// neighbour below gets the handshake of a leaf.
func (t *table) PrepareHandshakeFor(to mino.Address) router.Handshake {
	c := t.child(to)
	if c == nil {
		return types.Handshake{}
	}

	return types.Handshake(message.NewHandshake(c.height, c.rest))
}

// Forward implements router.RoutingTable. It looks every destination up before it
// makes the parts, which then have the right size from the beginning.
func (t *table) Forward(p router.Packet) (router.Routes, router.Voids) {
	var few [message.Few]*child

	own := t.own(p)
	hops, voids := t.hops(own.Players(), few[:0])
	routes := make(router.Routes)

	// The children are contiguous parts of the players, and packets often name
	// these in their order: what goes the same way is dealt in runs.
	for from := 0; from < len(hops); {
		hop, to := hops[from], from+1
		for to < len(hops) && hops[to] == hop {
			to++
		}

		if hop != nil {
			hop.take(own, from, to, routes)
		}

		from = to
	}

	return routes, voids
}

// NextHop implements router.NextHop.
func (t *table) NextHop(p router.Packet) (mino.Address, bool) {
	own, ok := p.(*types.Packet)
	if !ok {
		return nil, false
	}

	var hop *child

	for _, text := range (*message.Packet)(own).Players().Texts {
		next, err := t.next(text)
		if err != nil || hop != nil && next != hop {
			return nil, false
		}

		hop = next
	}

	if hop == nil {
		return nil, false
	}

	return hop.addr, true
}

// hops appends the next hop of each destination, which is nil for one among the
// voids, and leaves the number of destinations with each hop.
func (t *table) hops(dest message.Players, hops []*child) ([]*child, router.Voids) {
	var voids router.Voids

	hops = slices.Grow(hops, dest.Len())

	for i, text := range dest.Texts {
		hop, err := t.next(text)
		if err == nil {
			hop.share.size++
		} else {
			if voids == nil {
				voids = make(router.Voids)
			}

			voids[t.voidKey(dest.Addrs[i], text)] = router.Void{Error: err}
		}

		hops = append(hops, hop)
	}

	return hops, voids
}

// take adds the destinations from <= i < to of a packet to the part for this hop.
func (c *child) take(p *message.Packet, from, to int, routes router.Routes) {
	if to-from == p.Players().Len() {
		routes[c.addr] = (*types.Packet)(p.ToAll())
		c.share = share{}

		return
	}

	if c.share.part == nil {
		c.share.part = p.To(message.Room(c.share.size))
		routes[c.addr] = (*types.Packet)(c.share.part)
	}

	c.share.part.AddAll(p.Players().Slice(from, to))

	if c.share.part.Players().Len() == c.share.size {
		c.share = share{}
	}
}

// own returns the packet as one of this package. One of another kind is read
// through its interface.
func (t *table) own(p router.Packet) *message.Packet {
	own, ok := p.(*types.Packet)
	if ok {
		return (*message.Packet)(own)
	}

	return message.MakePacket(t.router.reader, p.GetSource(), p.GetDestination(), p.GetMessage())
}

// next returns the next hop for a text, or an error when there is no way.
func (t *table) next(text string) (*child, error) {
	switch text {
	case "":
		return nil, errAddress
	case t.me:
		return nil, errSelf
	}

	c := t.gateways[text]
	if c == nil {
		return &t.up, nil
	}

	if !c.lostUntil.IsZero() && time.Until(c.lostUntil) > 0 {
		return nil, fmt.Errorf("%w: the node was lost, it is tried again in %v",
			router.ErrUnreachable, time.Until(c.lostUntil).Round(time.Millisecond))
	}

	return c, nil
}

// voidKey returns the address, or the factory's form of it when the address cannot
// be the key of a map, or nil when neither can.
func (t *table) voidKey(addr mino.Address, text string) mino.Address {
	if message.Hashable(addr) {
		return addr
	}

	addr = t.router.reader.FromText([]byte(text))
	if message.Hashable(addr) {
		return addr
	}

	return nil
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
	c.rest, c.height = message.Players{}, 0
	c.lostUntil = time.Now().Add(t.router.retryAfter)

	if orphans.Len() == 0 {
		return fmt.Errorf("%w: nobody is behind %v", router.ErrUnreachable, to)
	}

	t.adopt(height, orphans, c)

	return nil
}

// MayCome implements router.Sources. It compares the texts, as packets carry them: the
// orchestrator is nobody below, also where a player has its host.
func (t *table) MayCome(source, from mino.Address) bool {
	c, valid, _ := t.lookup(source)
	if !valid {
		return false
	}

	if from == nil {
		return c == nil || !c.lostUntil.IsZero()
	}

	for gateway := t.child(from); c != nil; c = c.before {
		if c == gateway {
			return true
		}
	}

	return false
}

// Descendants implements router.Subtree. An address that is no neighbour below
// has none.
func (t *table) Descendants(gateway mino.Address) []mino.Address {
	c := t.child(gateway)
	if c == nil {
		return nil
	}

	return slices.Clone(c.rest.Addrs)
}
