package main

import (
	"errors"
	"fmt"
)

// crowded is how many short streams are under way at once, over the same players.
const crowded = 16

// shorts are streams that end after one question to all the players.
func shorts() []measurement {
	sizes := []int{3, 8, 32, 100}
	all := make([]measurement, 0, len(sizes)+1)

	for _, players := range sizes {
		what := fmt.Sprintf("short stream, N = %d, 64 B, plain", players)

		all = append(all, measurement{what, func(p plan, t *table) error {
			return measureShort(p, t, what+", vs N unary calls at once", min(players, p.players), 1)
		}})
	}

	what := fmt.Sprintf("%d short streams at once, N = 8, 64 B, plain", crowded)

	return append(all, measurement{what, func(p plan, t *table) error {
		return measureShort(p, t, what+", vs 8 unary calls each", 8, crowded)
	}})
}

// measureShort compares streams, each with a message to all the players and their answers, with as many
// unary calls. All connections are there.
func measureShort(p plan, t *table, what string, players, atOnce int) (err error) {
	const size = 64

	star, err := newStar(shape{players: players})
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, star.close()) }()

	all, err := forEach(p.modes, shape{players: players}.in)
	defer func() { err = errors.Join(err, closeAll(all)) }()

	if err != nil {
		return err
	}

	msg := payload(size)
	sides := []side{{Name: raw, Least: atOnce, Run: func(n int) error {
		return share(n, atOnce, func() error { return star.calls(msg) })
	}}}

	for _, w := range all {
		sides = append(sides, side{Name: ours, Least: atOnce, Run: func(n int) error {
			return share(n, atOnce, func() error { return w.shortStream(msg) })
		}})
	}

	times, err := p.Compare(sides...)
	if err == nil {
		t.ratio(what, goal{1.5, 1}, allOver(times[1:], times[0])...)
	}

	return err
}

// shortStream opens a stream, asks all the players, takes their answers and ends it.
func (w *world) shortStream(msg blob) error {
	line, err := w.open(w.players...)
	if err != nil {
		return err
	}

	defer line.close()

	outcomes := line.out.Send(msg, w.players...)

	// Who has all the answers needs no outcomes.
	if err := line.collect(len(w.players)); err != nil {
		return errors.Join(err, settled(outcomes))
	}

	return nil
}
