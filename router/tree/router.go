// Package tree is a router that arranges the players of a stream in a tree of bounded height.
//
// The shape of the tree follows only from the height and the order of the players, see [NewRouter].
// Every node computes its own part of the tree from the handshake of its parent, and the nodes need
// not agree on anything. A table knows the players below its node; packets for other addresses go
// to the parent.
//
// When a neighbour is lost, its parent adopts exactly the children that the neighbour had.
// Everything below them stays as it is, and the tree gets no higher. The lost neighbour becomes a
// leaf. The table tries it again after a pause.
//
// A [router.Router] of this package may be used from several goroutines at once. A table belongs to
// one session, as the router package describes; its Forward takes constant time for each
// destination. The router checks packets and handshakes from the network in full before it makes a
// table from them.
package tree

import (
	"fmt"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/internal/message"
	_ "github.com/minogrpc/session/router/tree/json" // registers the formats
	"github.com/minogrpc/session/router/tree/types"
)

// treeRouter implements router.Router. It is never written to after it was made.
type treeRouter struct {
	config

	reader *message.Reader
}

// NewRouter returns a router for the addresses of the factory. The root and every node below have
// as few children as the height allows, but at least five if they have that many players to reach.
// The router divides the players evenly, in their order. The first player of each part becomes a
// child that reaches the rest of the part.
//
// The factory must give an address its text back. It should make addresses that can be the keys of
// a map: a table refuses others. If an address has a method GetHostname() (string, error), it must
// have a host. The router remembers some thousands of the addresses that the factory has made, so
// one of them may be in many packets at once. It takes the text of an address from its AppendText
// (see [encoding.TextAppender]) if the address has that method.
//
// The packets of the router are [router.BinaryPacket] values, and its factory is a
// [router.BinaryPacketFactory].
func NewRouter(f mino.AddressFactory, options ...RouterOption) router.Router {
	c := newConfig(options)

	return &treeRouter{
		config: c,
		reader: message.NewReader(f, c.maxAddresses),
	}
}

// GetPacketFactory implements router.Router.
func (r *treeRouter) GetPacketFactory() router.PacketFactory {
	return types.NewPacketFactory(r.reader)
}

// GetHandshakeFactory implements router.Router.
func (r *treeRouter) GetHandshakeFactory() router.HandshakeFactory {
	return types.NewHandshakeFactory(r.reader)
}

// New implements router.Router. The players may name an address more than once,
// and the node itself, which is left out. It returns an error when an address
// cannot be part of a tree, or when there are too many. A nil address for the node
// leaves nobody out.
//
// Without players, nil or empty, every address goes to the parent, that of the node too:
// the table is that of an orchestrator, whose node may be a player in the same stream,
// under the same address.
func (r *treeRouter) New(list mino.Players, me mino.Address) (router.RoutingTable, error) {
	s := message.Borrow()
	defer s.Return()

	self := ""
	if me != nil {
		text, err := s.Text(me)
		if err != nil {
			return nil, fmt.Errorf("own address: %w", err)
		}

		self = string(text)
	}

	if list == nil || list.Len() == 0 {
		return r.newTable("", r.height, message.Players{})
	}

	known, err := r.reader.Collect(list, self, s)
	if err != nil {
		return nil, err
	}

	return r.newTable(self, r.height, known)
}

// GenerateTableFrom implements router.Router. The handshake must be a [types.Handshake]. It
// returns an error for one that a node would refuse to send: its height and its addresses
// are checked like those of a handshake that comes from the network.
func (r *treeRouter) GenerateTableFrom(h router.Handshake) (router.RoutingTable, error) {
	hs, ok := h.(types.Handshake)
	if !ok {
		return nil, fmt.Errorf("handshake is a %T, not one of this router", h)
	}

	received := message.Handshake(hs)

	err := received.Sendable()
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}

	err = r.reader.Admit(uint64(received.Players().Len()))
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}

	return r.newTable("", received.Height(), received.Players())
}

// newTable makes the table of a node that reaches the players.
func (r *treeRouter) newTable(me string, height int, known message.Players) (*table, error) {
	for _, addr := range known.Addrs {
		// Forward would panic when it used the address as the key of a route.
		if !message.Hashable(addr) {
			return nil, fmt.Errorf("address %v of type %T cannot be the key of a map", addr, addr)
		}
	}

	t := &table{
		router:   r,
		me:       me,
		gateways: make(map[string]*child, known.Len()),
	}

	t.adopt(height, known, nil)

	for _, text := range known.Texts {
		// An address has a text of its own.
		t.weight += perPlayer + 2*len(text)
	}

	return t, nil
}
