package sessiontest

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// TestRouter is a conformance test: it fails when the routers that the factory makes do not do what
// the router package asks of them, and what a session relies on. It assumes nothing about the shape
// of the routes. It calls the factory once for each of its subtests, with a factory for
// [session.Address].
//
//	func TestRouter_IsConformant(t *testing.T) {
//		sessiontest.TestRouter(t, func(f mino.AddressFactory) router.Router {
//			return myrouter.New(f)
//		})
//	}
//
// An error is reported at the line that calls TestRouter. It names the method that did wrong, its
// arguments and, where the compiler tells, its file and line. These are the subtests, what each
// demands, and why:
//
//   - PacketKeepsWhatItIsMadeOf: the packet of Make has the source, the destinations and the very
//     bytes of the message that Make was given, and not the slice of destinations, which the caller
//     uses again. A copy of the message would cost each hop its size.
//   - PacketSurvivesTheNetwork: the packet factory gives back what Serialize has written, for the
//     source in its form as an orchestrator too, and for empty messages.
//   - SliceTakesOneAddressOut: Slice finds an address in any value with the same text, and takes it
//     out once. It returns nil for others. A node takes itself out of a packet so.
//   - ForwardLeavesThePacketAlone: Forward does not change the packet, its parts share the bytes of
//     the message, and slicing a part changes no other. The session may forward a packet again.
//   - ForwardPutsEachDestinationInOnePlace: each destination is in one of the routes or the voids,
//     also one that nobody knows, and each void has an error. Otherwise a sender gets no outcome, or
//     two.
//   - EveryPlayerIsReachedOnce: from the root down, with tables made of the serialized handshakes, a
//     packet to all players reaches each once, among 1 to 300 players.
//   - OneLostPlayerCostsOnlyItself: wherever one player is lost, the others are still reached after
//     OnFailure.
//   - FailureOfANeighbourKeepsTheOthers: the same at the root when one neighbour after the other is
//     lost. OnFailure returns nil while there are others behind the lost one, and an error for an
//     address that is no neighbour.
//   - LostNeighbourIsTriedAgain: within a minute by the clock after OnFailure, Forward has a route to
//     the lost neighbour again, through itself or another, each time that it is lost. Nothing else
//     brings back a node that comes back. Until then its void wraps router.ErrUnreachable, or the
//     sender would be told that nobody knows the player. It runs in a bubble of testing/synctest,
//     where the minute takes no time; a goroutine of a router must not outlive it.
//   - StrangerGoesToTheParentOrNowhere: what a table does not know goes to the parent, or is a void.
//     A node below could only send it back.
//   - SourcesComeTheWayThatRoutesGo: a table that implements router.Sources says true for the
//     neighbour that leads to a source, and false for others, as router.Sources describes. Tables
//     without MayCome pass.
//   - ShortcutsSayTheSame: a table that implements router.NextHop names the way that Forward takes, and
//     one that implements router.Maker makes the packet that Make makes. The session takes either.
//   - OrchestratorSendsAllToItsParent: the table of New without players sends everything to the
//     parent, its own address too: the player on its node has that.
//   - PlayersMayNameANodeTwiceAndItself: New takes a list that names players twice and the node
//     itself, and nobody is reached twice. Callers do not tidy their lists.
//   - GarbageIsAnError: the factories return an error for bytes that are cut, doubled or nonsense, and
//     GenerateTableFrom for nil. They come from the network, so nothing may panic.
//   - RouterIsSharedByGoroutines: several goroutines use the router at once. Run it with -race.
func TestRouter(t *testing.T, factory func(mino.AddressFactory) router.Router) {
	t.Helper()

	for _, check := range routerChecks {
		t.Run(check.name, func(t *testing.T) {
			t.Helper() // The line of an error is then that of the call of TestRouter.

			err := check.test(t, factory)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// routerCheck is a part of TestRouter. It returns errors so that it can be tested itself.
type routerCheck struct {
	name string
	run  func(router.Router) error

	// inBubble is set for a check that needs the clock of a bubble.
	inBubble bool
}

// test makes a router and checks it.
func (c routerCheck) test(t *testing.T, factory func(mino.AddressFactory) router.Router) (err error) {
	t.Helper()

	if !c.inBubble {
		return c.run(factory(session.AddressFactory{}))
	}

	synctest.Test(t, func(*testing.T) { err = c.run(factory(session.AddressFactory{})) })

	return err
}

// routerChecks are the parts of TestRouter.
var routerChecks = []routerCheck{
	{name: "PacketKeepsWhatItIsMadeOf", run: checkMake},
	{name: "PacketSurvivesTheNetwork", run: checkPacketBytes},
	{name: "SliceTakesOneAddressOut", run: checkSlice},
	{name: "ForwardLeavesThePacketAlone", run: checkForwardPacket},
	{name: "ForwardPutsEachDestinationInOnePlace", run: checkPartition},
	{name: "EveryPlayerIsReachedOnce", run: checkReach},
	{name: "OneLostPlayerCostsOnlyItself", run: checkLost},
	{name: "FailureOfANeighbourKeepsTheOthers", run: checkFailure},
	{name: "LostNeighbourIsTriedAgain", run: checkRetry, inBubble: true},
	{name: "StrangerGoesToTheParentOrNowhere", run: checkStranger},
	{name: "SourcesComeTheWayThatRoutesGo", run: checkSources},
	{name: "ShortcutsSayTheSame", run: checkShortcuts},
	{name: "OrchestratorSendsAllToItsParent", run: checkOrchestrator},
	{name: "PlayersMayNameANodeTwiceAndItself", run: checkPlayers},
	{name: "GarbageIsAnError", run: checkGarbage},
	{name: "RouterIsSharedByGoroutines", run: checkConcurrency},
}

// routerSizes are the numbers of players to check with.
var routerSizes = []int{1, 2, 3, 5, 6, 7, 31, 100, 300}

// playersOf returns the addresses of n players, the first of which is the root.
func playersOf(n int) []mino.Address {
	addrs := make([]mino.Address, n)
	for i := range addrs {
		addrs[i] = session.NewAddress(fmt.Sprintf("player:%d", 2000+i))
	}

	return addrs
}

// rootTable returns the players, and the table of the first of them.
func rootTable(r router.Router, n int) ([]mino.Address, router.RoutingTable, error) {
	players := playersOf(n)

	table, err := r.New(mino.NewAddresses(players[1:]...), players[0])
	if err != nil {
		return nil, nil, in(r, "New", players[1:], players[0]).errorf("%w", err)
	}

	return players, table, nil
}
