package kit_test

import (
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/kit"
	"github.com/minogrpc/session/sessiontest"
)

// Star is a router whose root has a link to every other player.
type Star struct{ *kit.Messages }

func (s Star) New(players mino.Players, me mino.Address) (router.RoutingTable, error) {
	list, err := s.Players(players, me)
	t := &rays{Messages: s.Messages, to: make(map[string]mino.Address)}

	for _, addr := range list {
		t.to[kit.Key(addr)] = addr
	}

	return t, err
}

func (s Star) GenerateTableFrom(h router.Handshake) (router.RoutingTable, error) {
	_, err := s.AddressesOf(h) // It has none: a leaf knows nobody.

	return &rays{Messages: s.Messages}, err
}

// rays is the table of a node.
type rays struct {
	*kit.Messages

	to   map[string]mino.Address
	lost kit.Losses
}

func (t *rays) PrepareHandshakeFor(mino.Address) router.Handshake { return t.Handshake() }

func (t *rays) Forward(p router.Packet) (router.Routes, router.Voids) {
	return t.Split(p, func(to mino.Address) (mino.Address, error) {
		return t.to[kit.Key(to)], t.lost.Check(to) // Who is not there is known to the parent.
	})
}

func (t *rays) OnFailure(to mino.Address) error {
	if t.to[kit.Key(to)] == nil {
		return fmt.Errorf("%v is no neighbour", to)
	}

	t.lost.Add(to)

	return t.lost.Check(to) // Nobody else is behind it.
}

func Example_star() {
	players := []mino.Address{session.NewAddress("a:1"), session.NewAddress("b:1"), session.NewAddress("c:1")}

	depths, err := sessiontest.Depths(Star{kit.NewMessages(session.AddressFactory{}, 0)}, players)
	fmt.Println(depths, err)

	// Output: [0 1 1] <nil>
}
