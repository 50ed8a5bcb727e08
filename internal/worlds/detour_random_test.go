package worlds_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// outage is something that is wrong between two nodes for a while.
type outage struct {
	a, b   int
	frozen bool
	// at is when it begins, after the one before has begun.
	at, lasts time.Duration
}

// outages draws what is wrong in a tree with these edges.
func outages(t *rapid.T, edges [][2]int) []outage {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) outage {
		edge := rapid.SampledFrom(edges).Draw(t, "edge")
		ms := rapid.IntRange(0, 3000)

		return outage{
			a: edge[0], b: edge[1], frozen: rapid.IntRange(0, 4).Draw(t, "frozen") == 0,
			at:    time.Duration(ms.Draw(t, "pause")) * time.Millisecond / 3,
			lasts: time.Duration(ms.Draw(t, "length")) * time.Millisecond,
		}
	}), 1, 4).Draw(t, "outages")
}

// suffer lets outages happen, and returns when the last one is over.
func (c *crew) suffer(all []outage) {
	end := time.Now()

	for _, o := range all {
		time.Sleep(o.at) // Virtual time.

		if o.frozen {
			c.net.Freeze(c.name(o.a), c.name(o.b))
			c.net.Freeze(c.name(o.b), c.name(o.a))
		} else {
			c.net.Cut(c.name(o.a), c.name(o.b))
		}

		if over := time.Now().Add(o.lasts); over.After(end) {
			end = over
		}

		time.AfterFunc(o.lasts, func() { c.net.Heal(c.name(o.a), c.name(o.b)) })
	}

	time.Sleep(time.Until(end) + time.Millisecond)
}

// Promise M4: whatever breaks in a tree of three levels, no message is overtaken, none arrives
// twice, and those of one sender to one receiver arrive in order. What fails is unreachable, or
// nobody knows.
func TestDetour_RandomOutages(t *testing.T) {
	// The tree of 40 players is 0(1(2 3 4 5 6(7)) 8(9 10 11 12(13) 14(15)) ...).
	edges := [][2]int{{0, 1}, {1, 2}, {1, 6}, {6, 7}, {0, 8}, {8, 9}}
	talkers := []int{0, 1, 2, 6, 7, 8, 9}

	rapid.Check(t, func(rt *rapid.T) {
		all := outages(rt, edges)
		wrong := ""

		synctest.Test(t, func(t *testing.T) {
			c := newCrew(t, 40)
			c.open(3, 40)

			done := make(chan struct{})

			go func() {
				defer close(done)
				c.sendFor(talkers, 4*time.Second, 20*time.Millisecond)
			}()

			c.suffer(all)
			<-done

			wrong = c.wrong(func(_ flow, err error) bool {
				failure, ok := errors.AsType[*session.DeliveryError](err)

				return ok && (failure.Reason == session.ReasonUnreachable || failure.Reason == session.ReasonTimeout) &&
					!overtaken(failure)
			})

			c.close()
		})
		require.Empty(rt, wrong, "%+v", all)
	})
}
