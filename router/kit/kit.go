// Package kit is what the author of a router need not write again: packets and handshakes with
// their forms on the wire, factories that check what comes from the network, the split of a packet
// by the next hop, and a memory of lost neighbours. What is left to write is where packets go. The
// examples are a star and a ring; sessiontest.TestRouter checks routers.
//
// The messages are those of router/tree/types, in JSON and in binary form. All nodes of a network
// must have the same router: a handshake does not say whose it is.
//
// A [Messages] may be used from several goroutines at once. [Losses] belong to one table, as the
// router package describes for tables.
package kit

import (
	"errors"
	"fmt"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/internal/message"
	_ "github.com/minogrpc/session/router/tree/json" // registers the formats
	"github.com/minogrpc/session/router/tree/types"
)

// MaxAddresses is the largest number of addresses in one packet, handshake or list of players,
// unless [NewMessages] is told another.
const MaxAddresses = message.MaxAddresses

// errAddress is the reason of a void for an address that cannot be sent.
var errAddress = errors.New("the address is empty or malformed")

// Messages makes and checks the packets and the handshakes of a router. A router embeds it for
// GetPacketFactory and GetHandshakeFactory, and a table for Make.
type Messages struct {
	reader *message.Reader
}

// NewMessages returns messages for the addresses of the factory, which must give an address its text
// back. No packet, handshake or list of players may have more than maxAddresses; zero, or less, means
// [MaxAddresses]. Nodes with a lower limit refuse what nodes with a higher limit send.
func NewMessages(f mino.AddressFactory, maxAddresses int) *Messages {
	if maxAddresses <= 0 {
		maxAddresses = MaxAddresses
	}

	return &Messages{reader: message.NewReader(f, maxAddresses)}
}

// GetPacketFactory implements router.Router.
func (m *Messages) GetPacketFactory() router.PacketFactory {
	return types.NewPacketFactory(m.reader)
}

// GetHandshakeFactory implements router.Router.
func (m *Messages) GetHandshakeFactory() router.HandshakeFactory {
	return types.NewHandshakeFactory(m.reader)
}

// Make implements router.RoutingTable. A destination that is there twice counts once.
func (m *Messages) Make(src mino.Address, to []mino.Address, msg []byte) router.Packet {
	return (*types.Packet)(message.MakePacket(m.reader, src, to, msg))
}

// Players returns the players that New is given, in their order, without duplicates and without the
// node itself. It returns nil for no players: a table that knows nobody sends everything to its
// parent, as the table of an orchestrator must. It returns an error when there are too many, and for
// an address that cannot be sent or be the key of a map.
func (m *Messages) Players(list mino.Players, me mino.Address) ([]mino.Address, error) {
	if list == nil || list.Len() == 0 {
		return nil, nil
	}

	s := message.Borrow()
	defer s.Return()

	known, err := m.reader.Collect(list, Key(me), s)
	if err != nil {
		return nil, err
	}

	return known.Addrs, hashable(known.Addrs)
}

// Handshake returns a handshake with a list of addresses, which it does not keep. Serialize returns
// an error for an address that another node would refuse.
func (m *Messages) Handshake(addrs ...mino.Address) router.Handshake {
	return types.NewHandshake(0, addrs...)
}

// AddressesOf returns the list of a handshake, in its order. The caller must not change it. It
// returns an error when the handshake is not one of this package, when it has too many addresses, and
// for an address that cannot be sent or be the key of a map.
func (m *Messages) AddressesOf(h router.Handshake) ([]mino.Address, error) {
	hs, ok := h.(types.Handshake)
	if !ok {
		return nil, fmt.Errorf("handshake is a %T, not one of this router", h)
	}

	received := message.Handshake(hs)

	err := errors.Join(received.Sendable(), m.reader.Admit(uint64(received.Players().Len())),
		hashable(received.Players().Addrs))
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}

	return hs.GetAddresses(), nil
}

// hashable returns an error for an address that would panic as the key of a route.
func hashable(addrs []mino.Address) error {
	for _, addr := range addrs {
		if !message.Hashable(addr) {
			return fmt.Errorf("address %v of type %T cannot be the key of a map", addr, addr)
		}
	}

	return nil
}

// Key returns the text by which a table tells addresses apart: two values of one address may differ,
// but not in their text. It is empty for an address that cannot be sent, such as nil.
func Key(addr mino.Address) string {
	s := message.Borrow()
	defer s.Return()

	return message.TextOf(addr, s)
}

// Split is a Forward. It asks next for the next hop of each destination: a neighbour, nil for the
// parent, or an error, which becomes a void. A neighbour must be a value that can be the key of a map
// and the same for all destinations behind it, such as one from [Messages.Players]. Split calls next
// once for each destination that can be sent, in their order.
func (m *Messages) Split(p router.Packet, next func(to mino.Address) (mino.Address, error),
) (router.Routes, router.Voids) {
	own := m.own(p)
	parts := make(map[mino.Address]*message.Packet)
	voids := make(router.Voids)

	for i, to := range own.Players().Addrs {
		hop, err := mino.Address(nil), errAddress
		if own.Players().Texts[i] != "" {
			hop, err = next(to)
		}

		switch {
		case err == nil:
			if parts[hop] == nil {
				parts[hop] = own.To(message.Players{})
			}

			parts[hop].AddAll(own.Players().Slice(i, i+1))
		case message.Hashable(to):
			voids[to] = router.Void{Error: err}
		default:
			voids[nil] = router.Void{Error: err}
		}
	}

	routes := make(router.Routes, len(parts))
	for hop, part := range parts {
		routes[hop] = (*types.Packet)(part)
	}

	return routes, voids
}

// own returns the packet as one of this package.
func (m *Messages) own(p router.Packet) *message.Packet {
	own, ok := p.(*types.Packet)
	if ok {
		return (*message.Packet)(own)
	}

	return message.MakePacket(m.reader, p.GetSource(), p.GetDestination(), p.GetMessage())
}
