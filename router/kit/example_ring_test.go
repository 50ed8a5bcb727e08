package kit_test

import (
	"fmt"
	"slices"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/router/kit"
	"github.com/minogrpc/session/sessiontest"
)

// Ring is a router that puts the players in a circle. The root sends both ways round it, and every
// other node passes on what is for those behind it.
type Ring struct{ *kit.Messages }

func (r Ring) New(players mino.Players, me mino.Address) (router.RoutingTable, error) {
	list, err := r.Players(players, me)
	half := (len(list) + 1) / 2
	back := slices.Clone(list[half:])
	slices.Reverse(back)

	return r.table(list[:half], back), err
}

func (r Ring) GenerateTableFrom(h router.Handshake) (router.RoutingTable, error) {
	list, err := r.AddressesOf(h)

	return r.table(list), err
}

func (r Ring) table(arcs ...[]mino.Address) *circle {
	t := &circle{Messages: r.Messages, arcs: make(map[string]*arc)}

	for _, list := range arcs {
		shared := &arc{rest: list}
		for _, addr := range list {
			t.arcs[kit.Key(addr)] = shared
		}
	}

	return t
}

// circle is the table of a node, with the arc that each player below is on.
type circle struct {
	*kit.Messages

	arcs map[string]*arc
	lost kit.Losses
}

// arc is one way round the circle: the first of the rest is the neighbour.
type arc struct{ rest []mino.Address }

func (t *circle) PrepareHandshakeFor(to mino.Address) router.Handshake {
	if a := t.arcs[kit.Key(to)]; a != nil && len(a.rest) > 0 && a.rest[0].Equal(to) {
		return t.Handshake(a.rest[1:]...)
	}

	return t.Handshake()
}

func (t *circle) Forward(p router.Packet) (router.Routes, router.Voids) {
	return t.Split(p, func(to mino.Address) (mino.Address, error) {
		a := t.arcs[kit.Key(to)]
		if a == nil {
			return nil, nil // The parent may know it.
		}

		return a.rest[0], t.lost.Check(a.rest[0])
	})
}

func (t *circle) OnFailure(to mino.Address) error {
	a := t.arcs[kit.Key(to)]
	if a == nil || !a.rest[0].Equal(to) {
		return fmt.Errorf("%v is no neighbour", to)
	}

	t.lost.Add(to)

	if len(a.rest) == 1 {
		return t.lost.Check(to)
	}

	// The next one takes its place, and the lost one has an arc of its own.
	t.arcs[kit.Key(to)] = &arc{rest: a.rest[:1]}
	a.rest = a.rest[1:]

	return nil
}

func Example_ring() {
	players := make([]mino.Address, 6)
	for i := range players {
		players[i] = session.NewAddress(fmt.Sprintf("n%d:1", i))
	}

	depths, err := sessiontest.Depths(Ring{kit.NewMessages(session.AddressFactory{}, 0)}, players)
	fmt.Println(depths, err)

	depths, err = sessiontest.Depths(Ring{kit.NewMessages(session.AddressFactory{}, 0)}, players, players[2])
	fmt.Println(depths, err)

	// Output:
	// [0 1 2 3 2 1] <nil>
	// [0 1 -1 2 2 1] <nil>
}
