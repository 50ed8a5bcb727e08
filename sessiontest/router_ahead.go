package sessiontest

import (
	"bytes"
	"slices"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// checkShortcuts: a [router.NextHop] names the way that Forward takes, and a [router.Maker] makes what
// Make makes, also while a neighbour is lost. A router without such tables passes.
func checkShortcuts(r router.Router) error {
	players, table, err := rootTable(r, 40)
	if err != nil {
		return err
	}

	stranger := session.NewAddress("stranger:1")
	parts := [][]mino.Address{players[1:], {stranger}, {players[1], stranger}}

	routes, _ := table.Forward(table.Make(players[0], players[1:], []byte("hello")))
	for _, part := range routes {
		parts = append(parts, part.GetDestination())
	}

	for _, player := range players {
		parts = append(parts, []mino.Address{player})
	}

	err = checkSame(table, players[0], parts)
	if err != nil {
		return err
	}

	for lost := range routes {
		_ = table.OnFailure(lost)

		break
	}

	return checkSame(table, players[0], parts)
}

// checkSame compares the shortcuts of a table with Make and Forward for each of the lists of
// destinations.
func checkSame(table router.RoutingTable, source mino.Address, lists [][]mino.Address) error {
	oneWay, _ := table.(router.NextHop)
	maker, _ := table.(router.Maker)

	for _, to := range lists {
		p := table.Make(source, to, []byte("hello"))

		if maker != nil {
			list, msg := slices.Clone(to), []byte("hello")
			made := maker.MakeAnytime(source, list, msg)
			clear(list)

			err := comparePacket(made, source, to, msg)
			if err != nil || !sameBytes(made.GetMessage(), msg) {
				return in(table, "MakeAnytime", source, to).errorf("it is not what Make returns: %w", err)
			}
		}

		if oneWay == nil {
			continue
		}

		routes, voids := table.Forward(p)

		hop, one := oneWay.NextHop(p)
		if one && (len(voids) > 0 || len(routes) != 1 || routes[hop] == nil) {
			return in(table, "NextHop", p).errorf("it returns %v, but Forward has %d routes and %d voids", hop,
				len(routes), len(voids))
		}

		if got, want := textsOf(p.GetDestination()), textsOf(to); !slices.Equal(got, want) {
			return in(table, "NextHop", p).errorf("it changes the packet")
		}
	}

	return nil
}

// sameBytes tells whether two slices are the same memory.
func sameBytes(a, b []byte) bool {
	return bytes.Equal(a, b) && &a[0] == &b[0]
}
