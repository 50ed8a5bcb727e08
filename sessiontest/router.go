package sessiontest

import (
	"fmt"
	"testing"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// TestRouter is a conformance test: it fails when the routers that the factory
// makes do not do what the router package asks of them, and what a session relies
// on. It assumes nothing about the shape of the routes. The factory is called
// several times, with a factory for [session.Address].
//
//	func TestRouter_IsConformant(t *testing.T) {
//		sessiontest.TestRouter(t, func(f mino.AddressFactory) router.Router {
//			return myrouter.New(f)
//		})
//	}
func TestRouter(t *testing.T, factory func(mino.AddressFactory) router.Router) {
	t.Helper()

	for _, check := range routerChecks {
		t.Run(check.name, func(t *testing.T) {
			err := check.run(factory(session.AddressFactory{}))
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// routerChecks are the parts of TestRouter. They return errors so that they can be
// tested themselves.
var routerChecks = []struct {
	name string
	run  func(router.Router) error
}{
	{"PacketKeepsWhatItIsMadeOf", checkMake},
	{"PacketSurvivesTheNetwork", checkPacketBytes},
	{"SliceTakesOneAddressOut", checkSlice},
	{"ForwardLeavesThePacketAlone", checkForwardPacket},
	{"ForwardPutsEachDestinationInOnePlace", checkPartition},
	{"EveryPlayerIsReachedOnce", checkReach},
	{"OneLostPlayerCostsOnlyItself", checkLost},
	{"FailureOfANeighbourKeepsTheOthers", checkFailure},
	{"StrangerGoesToTheParentOrNowhere", checkStranger},
	{"SourcesComeTheWayThatRoutesGo", checkSources},
	{"OrchestratorSendsAllToItsParent", checkOrchestrator},
	{"PlayersMayNameANodeTwiceAndItself", checkPlayers},
	{"GarbageIsAnError", checkGarbage},
	{"RouterIsSharedByGoroutines", checkConcurrency},
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
		return nil, nil, fmt.Errorf("table of the root of %d players: %w", n, err)
	}

	return players, table, nil
}
