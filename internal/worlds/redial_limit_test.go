package worlds_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

// crowd is a session that dials many players.
type crowd struct {
	*world

	sess     session.Session
	children []*neighbour
}

// newCrowd returns one, whose session has dialled nobody yet.
func (w *world) newCrowd(players int, opts ...session.Option) crowd {
	names := make([]string, players)
	addresses := make([]mino.Address, players)

	for i := range names {
		names[i] = fmt.Sprint("p", i)
		addresses[i] = addr(names[i])
	}

	// The children, which are silent, are not lost for that meanwhile.
	sess, children := w.diallingWith(append(opts, session.WithLiveness(time.Hour)), addr("a"), names...)
	w.listen(sess, fake.NewRelay(session.NewOrchestratorAddress(addr("o")), nil), w.table(1, addr("a"), addresses...))

	c := crowd{world: w, sess: sess}
	for _, name := range names {
		c.children = append(c.children, children[name])
	}

	return c
}

// greet sends a message to some of the children.
func (c crowd) greet(children []*neighbour) {
	to := make([]mino.Address, len(children))
	for i, child := range children {
		to[i] = child.addr
	}

	c.sess.Send(fake.Message("hello"), to...)
	synctest.Wait()
}

// answerBy makes children decide so whether they accept another stream.
func answerBy(children []*neighbour, refuse func(context.Context) error) {
	for _, child := range children {
		child.mu.Lock()
		child.refuse = refuse
		child.mu.Unlock()
	}
}

// hang accepts no stream, and does not say so.
func hang(ctx context.Context) error {
	<-ctx.Done()

	return ctx.Err()
}

// requireResumed asserts that the links to the children have gone on over a second stream.
func requireResumed(t *testing.T, children []*neighbour) {
	t.Helper()

	for _, child := range children {
		child.mu.Lock()
		offers := slices.Clone(child.offers)
		child.mu.Unlock()

		require.Equal(t, uint64(2), offers[len(offers)-1], "%v: %v", child.addr, offers)
		require.Len(t, child.received(), 2)
	}
}

// Promise S5: links that go on after a break count among the streams that a session opens at once.
// Promise L5: all of them go on, however many have broken together.
func TestDial_BrokenLinksGoOnABoundedNumberAtOnce(t *testing.T) {
	const takes = 100 * time.Millisecond

	inWorld(t, func(t *testing.T, w *world) {
		c := w.newCrowd(300)
		c.greet(c.children)

		dialling, most := 0, 0
		answerBy(c.children, slowly(make(chan struct{}, 1), &dialling, &most, takes))

		for _, child := range c.children {
			child.current().End(errLost)
		}

		c.greet(c.children)
		time.Sleep(session.DefaultResumeTimeout) // Virtual time.
		synctest.Wait()

		requireResumed(t, c.children)
		require.Equal(t, 64, most)
	})
}

// Promise L5: neither players that do not answer keep a broken link from going on, of which a
// session may dial many for the first time, nor other broken links.
func TestDial_BrokenLinkIsNotKeptWaiting(t *testing.T) {
	for _, shared := range []bool{true, false} {
		for _, firsts := range []bool{true, false} {
			t.Run(fmt.Sprintf("shared %v, first set-ups %v", shared, firsts), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					var opts []session.Option

					players := 103
					if shared {
						opts, players = append(opts, session.WithDialLimit(session.NewDialLimit(16))), 43
					}

					c := w.newCrowd(players, opts...)
					broken, others := c.children[:3], c.children[3:]
					c.greet(broken)

					if !firsts {
						c.greet(others)
					}

					answerBy(others, hang)

					if firsts {
						c.greet(others)
					} else {
						for _, child := range others {
							child.current().End(errLost)
						}

						synctest.Wait() // They wait in front of the others.
					}

					for _, child := range broken {
						child.current().End(errLost)
					}

					c.greet(broken)
					time.Sleep(session.DefaultResumeTimeout) // Virtual time.
					synctest.Wait()

					requireResumed(t, broken)
				})
			})
		}
	}
}
