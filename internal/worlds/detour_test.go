package worlds_test

import (
	"errors"
	"testing"
	"time"

	"github.com/minogrpc/session"
)

// Promise M4: a detour overtakes nothing. All players send all the time while the way above a
// parent with children is cut for a while. Every message arrives, in the order of the sends.
func TestDetour_OutageAboveAParent(t *testing.T) {
	for _, outage := range []time.Duration{
		50 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 3 * time.Second,
	} {
		t.Run(outage.String(), func(t *testing.T) {
			withCrew(t, 3, 40, func(c *crew) {
				// n1 has five children. One of them is n6, below which is n7.
				talkers := []int{0, 1, 2, 5, 6, 7, 8, 9, 39}
				done := make(chan struct{})

				go func() {
					defer close(done)
					c.sendFor(talkers, outage+3*time.Second, 10*time.Millisecond)
				}()

				time.Sleep(500 * time.Millisecond)
				c.net.Cut(c.name(0), c.name(1))
				time.Sleep(outage)
				c.net.Heal(c.name(0), c.name(1))
				<-done

				doubts := make(map[flow]int)

				c.check(func(f flow, err error) bool {
					// The tree has no way to a player that its parent has lost. What was being handed
					// to that player when the connection broke is in doubt: one message of a flow.
					failure, _ := errors.AsType[*session.DeliveryError](err)
					if failure.Reason == session.ReasonTimeout {
						doubts[f]++
					}

					return f.to == 1 && doubts[f] <= 1 &&
						(failure.Reason == session.ReasonUnreachable || failure.Reason == session.ReasonTimeout)
				})
			})
		})
	}
}
