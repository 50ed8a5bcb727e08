package protocol

import (
	"context"
	"errors"
	"time"

	"github.com/minogrpc/session/mino"
)

// gathering has the requests of one round that have no result yet. The mutex of the channel guards it.
type gathering struct {
	id      uint64
	begun   time.Time
	players roster
	open    map[int]*waiting
	// results has room for one of each player.
	results chan result
}

// waiting is a player without a result.
type waiting struct {
	told  bool         // The outcome of the request is known, or there was no request.
	doubt error        // The overlay does not know whether the request was delivered.
	lost  *time.Timer  // The patience with a player that is lost.
	gone  *PlayerError // The player is lost, and the outcome of the request will say more.
}

// result is the payload of an answer, or why there is none.
type result struct {
	player  mino.Address
	payload []byte
	err     *PlayerError
	latency time.Duration
}

// begin starts a gathering, and returns it with those of its players that are to be asked.
func (c *channel) begin(players roster) (*gathering, roster) {
	c.queue.change(func() { c.queue.gathered++ })

	c.mu.Lock()
	defer c.mu.Unlock()

	c.lastID++
	g := &gathering{
		id:      c.lastID,
		begun:   time.Now(),
		players: players,
		open:    make(map[int]*waiting),
		results: make(chan result, len(players.addrs)),
	}
	c.gatherings[g.id] = g
	asked := newRoster()

	for i, addr := range players.addrs {
		g.open[i] = &waiting{}

		if at, gone := c.gone.find(addr); gone {
			c.heardLocked(g, i, c.news[at])
		} else {
			asked.add(addr)
		}
	}

	if c.end != nil {
		g.settleAllLocked(c.end)
	}

	return g, asked
}

// stop forgets a gathering. What comes later for it is of no use to anybody.
func (c *channel) stop(g *gathering) {
	c.queue.change(func() { c.queue.gathered-- })

	c.mu.Lock()
	defer c.mu.Unlock()

	delete(c.gatherings, g.id)

	for i := range g.open {
		g.closeLocked(i)
	}
}

// ask sends the request to the players. It gives all of them a result if that fails.
func (c *channel) ask(ctx context.Context, g *gathering, payload []byte, players roster) {
	if len(players.addrs) == 0 {
		return
	}

	e := envelope{kind: kindRequest, id: g.id, payload: payload}

	err := c.send(ctx, e, players, func(addr mino.Address, err error) { c.delivered(g, addr, err) })
	if err != nil {
		c.settleAll(g, &PlayerError{Reason: ReasonLate, Cause: err})
	}
}

// delivered takes the outcome of a request. One that is in doubt may still be answered.
func (c *channel) delivered(g *gathering, addr mino.Address, err error) {
	if err != nil && c.ctx.Err() != nil {
		return
	}

	c.mu.Lock()
	defer c.mu.Unlock()

	i, _ := g.players.find(addr) // It is one of them.

	w := g.open[i]
	if w == nil {
		return
	}

	w.told = true

	switch {
	case err != nil && !isInDoubt(err):
		g.settleLocked(i, nil, &PlayerError{Reason: ReasonUndelivered, Cause: err})
	case w.gone != nil:
		g.settleLocked(i, nil, w.gone)
	default:
		w.doubt = err
	}
}

// isInDoubt tells whether a message may be delivered in spite of the error.
func isInDoubt(err error) bool {
	var failure mino.DeliveryFailure

	return errors.As(err, &failure) && failure.InDoubt()
}

// answered takes an answer, or what came in its place. Bytes that are no message of ours say that this player
// does not speak our language, so it has no other answer.
func (c *channel) answered(from mino.Address, e envelope) {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, g := range c.gatherings {
		i, asked := g.players.find(from)

		switch {
		case !asked:
		case e.kind == 0:
			g.settleLocked(i, nil, &PlayerError{Reason: ReasonBadAnswer, Cause: errNonsense})
		case e.id != g.id:
		case e.kind == kindFailure:
			g.settleLocked(i, nil, &PlayerError{Reason: ReasonFailed, Cause: e.text()})
		case e.kind == kindRefusal:
			g.settleLocked(i, nil, &PlayerError{Reason: ReasonRefused, Cause: e.text()})
		default:
			g.settleLocked(i, e.payload, nil)
		}
	}
}

// errNonsense is the cause of a message that is none of ours.
var errNonsense = errors.New("not a message of this package")

// settleAll gives all players without a result the same one.
func (c *channel) settleAll(g *gathering, err *PlayerError) {
	c.mu.Lock()
	defer c.mu.Unlock()

	g.settleAllLocked(err)
}

func (g *gathering) settleAllLocked(err *PlayerError) {
	for i := range g.players.addrs {
		g.settleLocked(i, nil, err)
	}
}

// settleLocked gives a player its result, unless it has one.
func (g *gathering) settleLocked(i int, payload []byte, err *PlayerError) {
	w := g.open[i]
	if w == nil {
		return
	}

	g.closeLocked(i)

	r := result{player: g.players.addrs[i], payload: payload, latency: time.Since(g.begun)}

	if err != nil {
		cause := err.Cause
		if w.doubt != nil && err.Reason == ReasonLate {
			cause = errors.Join(err.Cause, w.doubt)
		}

		r.err = &PlayerError{Player: r.player, Reason: err.Reason, Cause: cause}
	}

	g.results <- r
}

// closeLocked ends the waiting for a player.
func (g *gathering) closeLocked(i int) {
	g.open[i].keepLocked()
	delete(g.open, i)
}

// keepLocked says that the player is not lost, or that this is of no interest any more.
func (w *waiting) keepLocked() {
	if w.lost != nil {
		w.lost.Stop()
		w.lost = nil
	}
}
