package sessiontest

import (
	"errors"
	"fmt"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
)

// NotReached is the depth of a player that no packet gets to.
const NotReached = -1

// Depths sends one packet to all the players, along the routes of the router, and
// returns how many hops each is away from the root, which is the first of them.
// Each node below gets its table from its parent's handshake, in the bytes that
// would go over the network.
//
// The lost ones are nodes that do not answer: their parent's table is told so when
// the first packet goes there, and is asked for another route. Their depth is
// [NotReached]. A lost root, and a lost address that is no player, change nothing.
//
// It returns an error when a player is reached twice or, unless it is lost, not at
// all, and when anything else goes wrong on the way.
func Depths(r router.Router, players []mino.Address, lost ...mino.Address) ([]int, error) {
	if len(players) == 0 {
		return nil, nil
	}

	w, err := newWalk(r, players, lost)
	if err != nil {
		return nil, err
	}

	root, others := players[0], players[1:]
	w.depths[0] = 0

	table, err := r.New(mino.NewAddresses(others...), root)
	if err != nil {
		return nil, in(r, "New", others, root).errorf("%w", err)
	}

	err = w.forward(table, table.Make(root, others, []byte("depths")), 0)
	if err != nil {
		return nil, err
	}

	for i, addr := range players {
		if w.depths[i] == NotReached && !w.isLost(addr) {
			return nil, in(table, "Forward").errorf("no packet reaches %v, at this or a later node", addr)
		}
	}

	return w.depths, nil
}

// walk is what is known while a packet goes its ways.
type walk struct {
	router router.Router
	ctx    serde.Context
	index  map[string]int
	lost   map[string]struct{}
	depths []int

	// failures counts the calls of OnFailure, of which each lost node needs one.
	failures int
}

func newWalk(r router.Router, players, lost []mino.Address) (*walk, error) {
	w := &walk{
		router: r,
		ctx:    json.NewContext(),
		index:  make(map[string]int, len(players)),
		lost:   make(map[string]struct{}, len(lost)),
		depths: make([]int, len(players)),
	}

	for i, addr := range players {
		w.depths[i] = NotReached
		w.index[textOf(addr)] = i
	}

	if len(w.index) != len(players) {
		return nil, errors.New("a player is named twice")
	}

	for _, addr := range lost {
		w.lost[textOf(addr)] = struct{}{}
	}

	return w, nil
}

func (w *walk) isLost(addr mino.Address) bool {
	_, found := w.lost[textOf(addr)]

	return found
}

// forward follows the routes of a packet at a node of the depth.
func (w *walk) forward(table router.RoutingTable, p router.Packet, depth int) error {
	// What goes in circles would never end here.
	if depth > len(w.depths) || w.failures > len(w.lost) {
		return in(table, "Forward", p).errorf(
			"the packet circulates: it has made %d hops, and OnFailure was called %d times", depth, w.failures)
	}

	routes, voids := table.Forward(p)

	for to, part := range routes {
		err := w.hop(table, to, part, depth)
		if err != nil {
			return err
		}
	}

	for addr, void := range voids {
		if !w.isLost(addr) {
			return in(table, "Forward", p).errorf("no route to %v: %w", addr, void.Error)
		}
	}

	return nil
}

// hop hands a packet to the next node.
func (w *walk) hop(table router.RoutingTable, to mino.Address, p router.Packet, depth int) error {
	if to == nil {
		return in(table, "Forward", p).errorf("the packet goes to the parent, which it came from")
	}

	if i, found := w.index[textOf(to)]; found && i == 0 {
		return in(table, "Forward", p).errorf("the packet goes back to the root")
	}

	if w.isLost(to) {
		return w.fail(table, to, p, depth)
	}

	if p.Slice(to) != nil {
		err := w.reach(to, depth+1)
		if err != nil {
			return in(table, "Forward").errorf("%w", err)
		}
	}

	if len(p.GetDestination()) == 0 {
		return nil
	}

	next, err := w.tableOf(table, to)
	if err != nil {
		return fmt.Errorf("the table of %v: %w", to, err)
	}

	return w.forward(next, p, depth+1)
}

// fail looks for another route for a packet whose next hop is lost.
func (w *walk) fail(table router.RoutingTable, to mino.Address, p router.Packet, depth int) error {
	w.failures++
	p.Slice(to)

	err := table.OnFailure(to)
	if len(p.GetDestination()) == 0 {
		return nil
	}

	if err != nil {
		return in(table, "OnFailure", to).errorf("there is no other route to %s: %w",
			addressList(p.GetDestination()), err)
	}

	return w.forward(table, p, depth)
}

// reach notes that a packet has arrived.
func (w *walk) reach(addr mino.Address, depth int) error {
	i, found := w.index[textOf(addr)]
	if !found {
		return fmt.Errorf("%v is reached, but is no player", addr)
	}

	if w.depths[i] != NotReached {
		return fmt.Errorf("%v is reached twice", addr)
	}

	w.depths[i] = depth

	return nil
}

// tableOf returns the table that a neighbour makes of its handshake.
func (w *walk) tableOf(table router.RoutingTable, to mino.Address) (router.RoutingTable, error) {
	prepared := table.PrepareHandshakeFor(to)

	data, err := prepared.Serialize(w.ctx)
	if err != nil {
		return nil, in(prepared, "Serialize", w.ctx).errorf("%w", err)
	}

	factory := w.router.GetHandshakeFactory()

	hs, err := factory.HandshakeOf(w.ctx, data)
	if err != nil {
		return nil, in(factory, "HandshakeOf", w.ctx, data).errorf("%w", err)
	}

	below, err := w.router.GenerateTableFrom(hs)
	if err != nil {
		return nil, in(w.router, "GenerateTableFrom", hs).errorf("%w", err)
	}

	return below, nil
}

// textOf returns the text form, by which addresses are told apart.
func textOf(addr mino.Address) string {
	if addr == nil {
		return ""
	}

	text, err := addr.MarshalText()
	if err != nil {
		return addr.String()
	}

	return string(text)
}
