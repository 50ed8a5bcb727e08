package protocol

import (
	"time"

	"github.com/minogrpc/session/mino"
)

// outcomeWait is how long a lost player may still turn out not to have got the request.
const outcomeWait = time.Second

// heard takes the news of a player.
func (c *channel) heard(event mino.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if event.State == mino.PlayerFinished || event.State == mino.PlayerFailed {
		if _, known := c.gone.find(event.From); !known {
			c.gone.add(event.From)
			c.news = append(c.news, event)
		}
	}

	for _, g := range c.gatherings {
		if i, asked := g.players.find(event.From); asked {
			c.heardLocked(g, i, event)
		}
	}
}

// heardLocked applies the news to the player of one gathering.
func (c *channel) heardLocked(g *gathering, i int, event mino.Event) {
	w := g.open[i]
	if w == nil {
		return
	}

	switch event.State {
	case mino.PlayerFinished:
		g.settleLocked(i, nil, &PlayerError{Reason: ReasonFinished, Cause: event.Cause})
	case mino.PlayerFailed:
		g.settleLocked(i, nil, &PlayerError{Reason: ReasonFailed, Cause: event.Cause})
	case mino.PlayerLost:
		lost := &PlayerError{Reason: ReasonLost, Cause: event.Cause}

		switch {
		case c.patience == 0 && !w.told:
			// Whether the player has got the request decides what the caller may do next. That is soon known, but
			// for a request to several of whom another one does not answer.
			w.gone = lost
			w.lost = time.AfterFunc(outcomeWait, func() { c.settle(g, i, w, lost) })
		case c.patience == 0:
			g.settleLocked(i, nil, lost)
		case w.lost == nil:
			w.lost = time.AfterFunc(c.patience, func() { c.settle(g, i, w, lost) })
		}
	case mino.PlayerReached, mino.PlayerBack:
		w.gone = nil
		w.keepLocked()
	case mino.PlayerUnknown:
	}
}

// settle gives a player its result if it was not back in time.
func (c *channel) settle(g *gathering, i int, w *waiting, lost *PlayerError) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if g.open[i] == w && w.lost != nil {
		g.settleLocked(i, nil, lost)
	}
}
