package link

import (
	"context"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/deadline"
)

// setupShare is the part of the time of a packet that the set-up may take, so that there is time
// left for another route. A neighbour gets minSetup all the same: another node chose the time of
// the packet, and the loss of the neighbour would cost others, too.
const (
	setupShare = 3
	minSetup   = time.Second
)

// setup is how long the dial may take. The packet with the most time decides: one that has little
// must not shorten the set-up for the others. It belongs to the lock of the link.
type setup struct {
	// wanted is the longest time that anybody has asked for.
	wanted time.Duration
	// deadline is nil until the dial begins.
	deadline *deadline.Deadline
	// turn is held until the neighbour has answered.
	turn *turn
}

// ask notes the time of somebody who asks for the neighbour.
func (s *setup) ask(left time.Duration) {
	want := max(left/setupShare, minSetup)
	s.wanted = max(s.wanted, want)

	if s.deadline != nil {
		s.deadline.Extend(want)
	}
}

// dial waits for its turn, and bounds the set-up after that by a cancellation that is called off
// when it succeeds: a deadline on the context would end the stream later. The bound of a connection that
// the neighbour has not accepted yet goes on, and unbound ends it.
func (l *Link) dial(dial func(context.Context) (Connection, error)) (Connection, error) {
	turn, err := l.takeTurn(l.ctx, true)
	if err != nil {
		return Connection{}, err
	}

	l.bound(turn)

	conn, err := contain.Call(func() (Connection, error) { return dial(l.ctx) })
	if err != nil || !conn.early() {
		l.unbound()
	}

	if err != nil && l.ctx.Err() != nil {
		return Connection{}, context.Cause(l.ctx)
	}

	return conn, err
}

// bound starts the deadline of the set-up.
func (l *Link) bound(turn *turn) {
	l.mu.Lock()
	defer l.mu.Unlock()

	l.setup.turn = turn
	l.setup.deadline = deadline.Start(l.setup.wanted, l.Setup, l.late)
}

// unbound ends the deadline of the set-up, and gives the turn to others.
func (l *Link) unbound() {
	l.setup.deadline.Stop()
	l.setup.turn.leave()
}

// late ends a dial that has taken too long.
func (l *Link) late() {
	l.mu.Lock()
	_, most := l.setup.deadline.Left()
	l.mu.Unlock()

	if most > 0 {
		l.cancel(ErrHurry)
	} else {
		l.cancel(ErrSetup)
	}
}
