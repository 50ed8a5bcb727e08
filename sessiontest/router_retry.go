package sessiontest

import (
	"errors"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// retryWithin is the longest pause of a table before it allows another attempt to reach a lost
// neighbour, by the clock of the process.
const retryWithin = time.Minute

// checkRetry: a neighbour that was lost is tried again after a pause, as often as it is lost. It
// runs in a bubble.
func checkRetry(r router.Router) error {
	players, table, err := rootTable(r, 40)
	if err != nil {
		return err
	}

	routes, _ := table.Forward(table.Make(players[0], players[1:], []byte("hello")))

	for range 2 {
		for lost := range routes {
			_ = table.OnFailure(lost) // Only the ways to others are an error, see checkFailure.
		}

		for lost := range routes {
			err := awaitRoute(table, players[0], lost)
			if err != nil {
				return err
			}
		}
	}

	return nil
}

// awaitRoute waits until there is a route to a player again.
func awaitRoute(table router.RoutingTable, me, lost mino.Address) error {
	for end := time.Now().Add(retryWithin); ; time.Sleep(time.Second) {
		p := table.Make(me, []mino.Address{lost}, []byte("hello"))

		routes, voids := table.Forward(p)
		if len(routes) > 0 {
			return nil
		}

		void, found := voids[lost]
		if !found || !errors.Is(void.Error, router.ErrUnreachable) {
			return in(table, "Forward", p).errorf(
				"after OnFailure(%v) the void has the error %v, which does not wrap router.ErrUnreachable",
				lost, void.Error)
		}

		if !time.Now().Before(end) {
			return in(table, "Forward", p).errorf(
				"%v after OnFailure(%v) there is still no route, so that a node that comes back is never reached: %w",
				retryWithin, lost, void.Error)
		}
	}
}
