package sessiontest

import (
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// checkSources: where a table is a [router.Sources], what is reached through a neighbour
// may come from there and from nowhere else, also when it is lost and others take its
// place. A router without such tables passes.
func checkSources(r router.Router) error {
	players, table, err := rootTable(r, 40)
	if err != nil {
		return err
	}

	sources, ok := table.(router.Sources)
	if !ok {
		return nil
	}

	ways := waysOf(table, players)

	err = checkComing(sources, players, ways)
	if err != nil {
		return err
	}

	for gateway, behind := range ways {
		if len(behind) < 2 {
			continue
		}

		err = checkComingAfter(table, players, gateway, behind)
		if err != nil {
			return fmt.Errorf("after the loss of %v: %w", gateway, err)
		}
	}

	return nil
}

// waysOf returns the players that are reached through each neighbour below.
func waysOf(table router.RoutingTable, players []mino.Address) map[mino.Address][]mino.Address {
	ways := make(map[mino.Address][]mino.Address)

	routes, _ := table.Forward(table.Make(players[0], players[1:], []byte("hello")))
	for gateway, part := range routes {
		ways[gateway] = part.GetDestination()
	}

	return ways
}

// checkComing checks each source with each neighbour of the root, the first player.
func checkComing(sources router.Sources, players []mino.Address, ways map[mino.Address][]mino.Address) error {
	stranger := session.NewAddress("stranger:1")

	for gateway, behind := range ways {
		err := checkSource(sources, gateway, map[mino.Address]bool{
			nil: false, players[0]: false, stranger: false,
			session.NewOrchestratorAddress(gateway): false,
		})
		if err != nil {
			return err
		}

		for _, source := range behind {
			err := checkWay(sources, source, gateway, ways)
			if err != nil {
				return err
			}
		}

		// Nobody is reached through who is no neighbour.
		err = checkSource(sources, stranger, map[mino.Address]bool{gateway: false, stranger: false, nil: false})
		if err != nil {
			return err
		}
	}

	return checkSource(sources, nil, map[mino.Address]bool{
		nil: false, players[0]: false, stranger: true,
		session.NewOrchestratorAddress(players[0]): true,
		session.NewOrchestratorAddress(players[1]): true,
	})
}

// checkWay checks one player below with all the neighbours.
func checkWay(sources router.Sources, source, gateway mino.Address, ways map[mino.Address][]mino.Address) error {
	for from := range ways {
		err := checkSource(sources, from, map[mino.Address]bool{source: from == gateway})
		if err != nil {
			return err
		}
	}

	return checkSource(sources, nil, map[mino.Address]bool{source: false})
}

// checkComingAfter checks those behind a neighbour of the root when that is lost.
func checkComingAfter(table router.RoutingTable, players []mino.Address, lost mino.Address,
	behind []mino.Address,
) error {
	err := table.OnFailure(lost)
	if err != nil {
		return in(table, "OnFailure", lost).errorf("there are others behind the neighbour: %w", err)
	}

	sources := table.(router.Sources) //nolint:forcetypeassert // The caller has looked.

	// What it has passed on before may still be under way, and it may be there.
	for _, source := range behind {
		err := checkSource(sources, lost, map[mino.Address]bool{source: true})
		if err != nil {
			return err
		}
	}

	ways := waysOf(table, players)

	for gateway, part := range ways {
		for _, source := range part {
			err := checkSource(sources, gateway, map[mino.Address]bool{source: true, lost: gateway == lost})
			if err != nil {
				return err
			}
		}
	}

	// It may have found another parent.
	return checkSource(sources, nil, map[mino.Address]bool{lost: true})
}

// checkSource checks which sources may come from a neighbour.
func checkSource(sources router.Sources, from mino.Address, want map[mino.Address]bool) error {
	for source, may := range want {
		if sources.MayCome(source, from) != may {
			return in(sources, "MayCome", source, from).errorf("it returns %v", !may)
		}
	}

	return nil
}
