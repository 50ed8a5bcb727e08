package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
)

// measureArrival counts the one-way delays until the first message of a new stream has come to every player
// of a tree: its depth is the least. The connections are there, and earlier streams have used them.
func measureArrival(p plan, t *table) error {
	p.Rounds = p.some()

	for _, depth := range []int{2, 3, 4} {
		players, err := playersOf(depth)
		if err != nil || players > p.players {
			return err
		}

		times, err := timeArrivals(p, players)
		if err != nil {
			return err
		}

		d := float64(depth)
		t.ratio(fmt.Sprintf("first message at every player, depth %d, warm, in one-way delays of %v",
			depth, farAway/2), goal{1.3 * d, 1.1 * d}, times...)
	}

	return nil
}

// timeArrivals measures one tree in each mode.
func timeArrivals(p plan, players int) (times []series, err error) {
	came := make(chan struct{})
	s := shape{players: players, delay: farAway / 2, handler: func(int) mino.Handler { return bell{came: came} }}

	all, err := forEach(p.modes, s.in)
	defer func() { err = errors.Join(err, closeAll(all)) }()

	if err != nil {
		return nil, err
	}

	sides := make([]side, len(all))
	for i, w := range all {
		sides[i] = side{Name: ours, Run: func(n int) error { return repeat(n, func() error { return w.arrive(came) }) }}
	}

	times, err = p.Compare(sides...)

	for _, s := range times {
		for round := range s {
			s[round] /= (farAway / 2).Seconds()
		}
	}

	return times, err
}

// arrive opens a stream, and waits until its first message has come to every player.
func (w *world) arrive(came <-chan struct{}) error {
	line, err := w.open(w.players...)
	if err != nil {
		return err
	}

	defer line.close()

	line.out.Send(payload(64), w.players...)

	for range w.players {
		<-came
	}

	return nil
}

// playersOf returns the smallest number of players whose tree is that deep: the first player is
// one hop away.
func playersOf(depth int) (int, error) {
	r := tree.NewRouter(minogrpc.NewAddressFactory())
	players := []mino.Address{session.NewAddress("10.0.0.1:2000")}

	for {
		depths, err := sessiontest.Depths(r, players)
		if err != nil || 1+depths[len(depths)-1] >= depth {
			return len(players), err
		}

		players = append(players, session.NewAddress(fmt.Sprintf("10.0.%d.1:2000", len(players))))
	}
}

// bell is a handler that says when its first message has come.
type bell struct {
	mino.UnsupportedHandler

	came chan<- struct{}
}

// Stream implements mino.Handler.
func (b bell) Stream(_ mino.Sender, in mino.Receiver) error {
	if _, _, err := in.Recv(context.Background()); err != nil {
		return err
	}

	b.came <- struct{}{}

	// It leaves with its stream.
	_ = receive(stream{in: in})

	return nil
}
