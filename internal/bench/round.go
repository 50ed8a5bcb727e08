package main

import (
	"errors"
	"fmt"

	"github.com/minogrpc/session/ptypes"
	"golang.org/x/sync/errgroup"
)

// maxPlayers is the largest number of players in a round.
const maxPlayers = 128

// rounds are questions to all the players, which all of them answer.
func rounds() []measurement {
	sizes := []int{8, 32, maxPlayers}
	all := make([]measurement, 0, 2*len(sizes))

	for _, secure := range []bool{false, true} {
		for _, players := range sizes {
			what := fmt.Sprintf("round, N = %d, 1 KiB, %s", players, transport(secure))

			all = append(all, measurement{what, func(p plan, t *table) error {
				return measureRound(p, t, what, shape{players: min(players, p.players), secure: secure})
			}})
		}
	}

	return all
}

// measureRound compares a round with one over as many bare streams.
func measureRound(p plan, t *table, what string, s shape) (err error) {
	const size = 1 << 10

	star, err := newStar(s)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, star.close()) }()

	all, err := forEach(p.modes, s.in)
	defer func() { err = errors.Join(err, closeAll(all)) }()

	if err != nil {
		return err
	}

	sides := []side{star.rounds(size)}

	for _, w := range all {
		line, err := w.broadcast(payload(size))
		if err == nil {
			err = line.collect(s.players)
		}

		if err != nil {
			return err
		}

		sides = append(sides, w.rounds(line, size))
	}

	times, err := p.Compare(sides...)
	if err == nil {
		t.ratio(what+", vs star of bidi", goal{1.7, 1.4}, allOver(times[1:], times[0])...)
	}

	return err
}

// rounds asks all the players and waits for all the answers and outcomes.
func (w *world) rounds(line stream, size int) side {
	msg := payload(size)

	return side{Name: ours, Run: func(n int) error {
		return repeat(n, func() error {
			outcomes := line.out.Send(msg, w.players...)

			return errors.Join(line.collect(len(w.players)), settled(outcomes))
		})
	}}
}

// star is a bare stream to each of many servers.
type star []*bare

// newStar starts the servers, each with a connection of its own, as the players of
// an overlay have.
func newStar(s shape) (star, error) {
	var all star

	for range s.players {
		b, err := newBare(s.secure)
		if err != nil {
			return nil, errors.Join(err, all.close())
		}

		all = append(all, b)
	}

	return all, nil
}

// calls makes a unary call to each of them, all at once.
func (s star) calls(msg []byte) error {
	var group errgroup.Group

	for _, b := range s {
		group.Go(func() error { return b.call(msg) })
	}

	return group.Wait()
}

// close ends all of them.
func (s star) close() error {
	var err error
	for _, b := range s {
		err = errors.Join(err, b.close())
	}

	return err
}

// rounds sends to all before it receives from each.
func (s star) rounds(size int) side {
	packet := &ptypes.Packet{Serialized: payload(size)}

	return side{Name: raw, Run: func(n int) error {
		return repeat(n, func() error { return s.round(packet) })
	}}
}

// round is one question and its answers.
func (s star) round(packet *ptypes.Packet) error {
	for _, b := range s {
		if err := b.stream.Send(packet); err != nil {
			return err
		}
	}

	for _, b := range s {
		if _, err := b.stream.Recv(); err != nil {
			return err
		}
	}

	return nil
}
