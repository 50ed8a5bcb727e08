package sessiontest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
)

// checkPartition: each destination is in one route or in the voids.
func checkPartition(r router.Router) error {
	for _, n := range routerSizes {
		players, table, err := rootTable(r, n)
		if err != nil {
			return err
		}

		to := append(slices.Clone(players[1:]), session.NewAddress("stranger:1"))

		var places []mino.Address

		p := table.Make(players[0], to, []byte("hello"))

		routes, voids := table.Forward(p)
		for _, part := range routes {
			places = append(places, part.GetDestination()...)
		}

		for addr, void := range voids {
			if void.Error == nil {
				return in(table, "Forward", p).errorf("the void for %v has no error", addr)
			}

			places = append(places, addr)
		}

		got, want := textsOf(places), textsOf(to)
		if !slices.Equal(got, want) {
			return in(table, "Forward", p).errorf(
				"%d players: the routes and voids together have %q instead of %q", n, got, want)
		}
	}

	return nil
}

// checkReach: from the root down, along the handshakes, every player is reached
// exactly once.
func checkReach(r router.Router) error {
	for _, n := range routerSizes {
		_, err := Depths(r, playersOf(n))
		if err != nil {
			return fmt.Errorf("%d players: %w", n, err)
		}
	}

	return nil
}

// checkLost: wherever one player is lost, the others are still reached.
func checkLost(r router.Router) error {
	for _, n := range []int{2, 7, 40} {
		players := playersOf(n)

		for _, lost := range players[1:] {
			_, err := Depths(r, players, lost)
			if err != nil {
				return fmt.Errorf("%d players, %v is lost: %w", n, lost, err)
			}
		}
	}

	return nil
}

// checkFailure: the loss of one neighbour of the root after the other leaves all
// the others where packets get to, without the lost ones.
func checkFailure(r router.Router) error {
	players, table, err := rootTable(r, 40)
	if err != nil {
		return err
	}

	stranger := session.NewAddress("stranger:1")
	if table.OnFailure(stranger) == nil {
		return in(table, "OnFailure", stranger).errorf("it returns nil, but the address is no neighbour")
	}

	others := slices.Clone(players[1:])
	routes, _ := table.Forward(table.Make(players[0], others, []byte("hello")))

	for lost, part := range routes {
		part.Slice(lost)

		err := table.OnFailure(lost)
		if err != nil && len(part.GetDestination()) > 0 {
			return in(table, "OnFailure", lost).errorf("there are others behind the neighbour: %w", err)
		}

		others = slices.DeleteFunc(others, lost.Equal)

		p := table.Make(players[0], others, []byte("hello"))

		routes, voids := table.Forward(p)
		if len(voids) > 0 || routes[nil] != nil || routes[lost] != nil {
			return in(table, "Forward", p).errorf("after OnFailure(%v) there are %d voids, %d packets for the parent "+
				"and %d for the lost one", lost, len(voids), countOf(routes, nil), countOf(routes, lost))
		}
	}

	return nil
}

// checkStranger: what a table does not know goes to the parent or nowhere, and
// never down.
func checkStranger(r router.Router) error {
	players, table, err := rootTable(r, 40)
	if err != nil {
		return err
	}

	tables := []router.RoutingTable{table}
	w := &walk{router: r, ctx: json.NewContext()}

	routes, _ := table.Forward(table.Make(players[0], players[1:], []byte("hello")))
	for gateway := range routes {
		below, err := w.tableOf(table, gateway)
		if err != nil {
			return fmt.Errorf("table of %v: %w", gateway, err)
		}

		tables = append(tables, below)
	}

	stranger := session.NewAddress("stranger:1")

	for _, table := range tables {
		p := table.Make(players[0], []mino.Address{stranger}, []byte("hello"))
		routes, voids := table.Forward(p)

		_, void := voids[stranger]
		if routes[nil] == nil && !void || len(routes)+len(voids) != 1 {
			return in(table, "Forward", p).errorf("a stranger goes down or to two places: %d routes and %d voids",
				len(routes), len(voids))
		}
	}

	return nil
}

// checkOrchestrator: the table without players sends everything to the parent. The first
// player is on the node of the orchestrator, and some overlays make the table with its
// address.
func checkOrchestrator(r router.Router) error {
	players := playersOf(10)
	me := session.NewOrchestratorAddress(players[0])

	for _, own := range []mino.Address{me, players[0]} {
		table, err := r.New(mino.NewAddresses(), own)
		if err != nil {
			return in(r, "New", []mino.Address{}, own).errorf("%w", err)
		}

		p := table.Make(me, players, []byte("hello"))

		routes, voids := table.Forward(p)
		if routes[nil] == nil || len(routes) != 1 || len(voids) != 0 {
			return in(table, "Forward", p).errorf(
				"table of no players, of %v: %d routes and %d voids instead of one packet for the parent",
				own, len(routes), len(voids))
		}

		err = comparePacket(routes[nil], me, players, []byte("hello"))
		if err != nil {
			return err
		}

		sources, ok := table.(router.Sources)
		if ok && !sources.MayCome(players[0], nil) {
			return in(table, "MayCome", players[0], nil).errorf(
				"table of no players, of %v: it returns false, so that the player on its node cannot answer", own)
		}
	}

	return nil
}

// checkPlayers: a list that names a player twice, and the node itself, is one that
// does not.
func checkPlayers(r router.Router) error {
	players := playersOf(20)

	table, err := r.New(mino.NewAddresses(append(slices.Clone(players), players...)...), players[0])
	if err != nil {
		return in(r, "New", players, players[0]).errorf("with every player named twice: %w", err)
	}

	w, err := newWalk(r, players, nil)
	if err != nil {
		return err
	}

	err = w.forward(table, table.Make(players[0], players[1:], []byte("hello")), 0)
	if err != nil {
		return err
	}

	if w.depths[0] != NotReached || slices.Contains(w.depths[1:], NotReached) {
		return in(r, "New", players, players[0]).errorf("with every player named twice and the root among them, "+
			"the players have the depths %v", w.depths)
	}

	return nil
}

// checkGarbage: what comes from the network and is not whole is an error, not a panic.
func checkGarbage(r router.Router) error {
	players, table, err := rootTable(r, 40)
	if err != nil {
		return err
	}

	ctx := json.NewContext()

	packet, err := table.Make(players[0], players[1:], []byte("hello")).Serialize(ctx)
	if err != nil {
		return err
	}

	handshake, err := table.PrepareHandshakeFor(players[1]).Serialize(ctx)
	if err != nil {
		return err
	}

	_, err = r.GenerateTableFrom(nil)
	if err == nil {
		return in(r, "GenerateTableFrom", nil).errorf("it returns no error")
	}

	return errors.Join(
		refusesGarbage(ctx, r.GetPacketFactory(), packet),
		refusesGarbage(ctx, r.GetHandshakeFactory(), handshake),
	)
}

// refusesGarbage returns an error when the factory refuses what is good or takes
// what is not, parts of the good one among it. A panic comes through as it is.
func refusesGarbage(ctx serde.Context, factory serde.Factory, good []byte) error {
	_, err := factory.Deserialize(ctx, good)
	if err != nil {
		return in(factory, "Deserialize", ctx, good).errorf("what the router has serialized itself: %w", err)
	}

	inputs := [][]byte{nil, []byte("null"), []byte("\x00\xff"), []byte("garbage"), slices.Concat(good, good)}
	for i := range good {
		inputs = append(inputs, good[:i])
	}

	for _, input := range inputs {
		_, err = factory.Deserialize(ctx, input)
		if err == nil {
			return in(factory, "Deserialize", ctx, input).errorf("it returns no error for %.100q", input)
		}
	}

	return nil
}

// checkConcurrency: a router may be used from several goroutines at once. The race
// detector has the say.
func checkConcurrency(r router.Router) error {
	var wg sync.WaitGroup

	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = Depths(r, playersOf(30)) })
	}

	wg.Wait()

	return errors.Join(errs...)
}

// countOf returns 1 if there is a packet for a neighbour, and 0 otherwise.
func countOf(routes router.Routes, to mino.Address) int {
	if routes[to] == nil {
		return 0
	}

	return 1
}
