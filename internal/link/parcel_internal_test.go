package link

import (
	"slices"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// place is an address that is nothing but its text.
type place string

func (p place) MarshalText() ([]byte, error)               { return []byte(p), nil }
func (p place) Equal(other mino.Address) bool              { return p == other }
func (p place) String() string                             { return string(p) }
func (p place) ConnectionType() mino.AddressConnectionType { return mino.ACTgRPC }

// payload is a packet of which only the message and the destinations matter here. It
// does not copy where it need not, as is its right.
type payload struct {
	router.Packet

	data  []byte
	dests []mino.Address
}

func (p *payload) GetMessage() []byte             { return p.data }
func (p *payload) GetDestination() []mino.Address { return p.dests }

func (p *payload) Slice(addr mino.Address) router.Packet {
	i := slices.Index(p.dests, addr)
	if i < 0 {
		return nil
	}

	p.dests = slices.Delete(p.dests, i, i+1)

	return &payload{data: p.data, dests: []mino.Address{addr}}
}

func newParcel(size int, keys ...string) *Parcel {
	packet := &payload{data: make([]byte, size)}
	for _, key := range keys {
		packet.dests = append(packet.dests, place(key))
	}

	return &Parcel{Packet: packet, Keys: keys, Dests: packet.dests}
}
