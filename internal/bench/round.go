package main

import (
	"errors"
	"fmt"

	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
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
func measureRound(p plan, t *table, what string, s shape) error {
	const size = 1 << 10

	w, err := newWorld(s)
	if err != nil {
		return err
	}

	star, err := newStar(s)
	if err != nil {
		return errors.Join(err, w.close())
	}

	line, err := w.broadcast(payload(size))
	if err == nil {
		err = line.collect(s.players)
	}

	if err == nil {
		var times []series

		times, err = p.compare(star.rounds(size), w.rounds(line, size))
		if err == nil {
			t.ratio(what+", vs star of bidi", "2.5", times[1].over(times[0]))
		}
	}

	return errors.Join(err, star.close(), w.close())
}

// rounds asks all the players and waits for all the answers and outcomes.
func (w *world) rounds(line stream, size int) side {
	msg := payload(size)

	return side{name: ours, run: func(n int) error {
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

	return side{name: raw, run: func(n int) error {
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

// measureDepth compares messages from the orchestrator to players further and
// further down a tree of 32 with one unary call.
func measureDepth(p plan, t *table) error {
	const players, size = 32, 1 << 10

	b, err := newBare(false)
	if err != nil {
		return err
	}

	all := newSeats(players)

	w, err := newWorld(shape{players: players, handler: all.handler})
	if err != nil {
		return errors.Join(err, b.close())
	}

	err = compareDepths(p, t, b, w, all, size)

	all.leave()

	return errors.Join(err, w.close(), b.close())
}

// compareDepths finds the first player of each depth and times messages to it.
func compareDepths(p plan, t *table, b *bare, w *world, all *seats, size int) error {
	depths, err := sessiontest.Depths(tree.NewRouter(minogrpc.NewAddressFactory()), w.players)
	if err != nil {
		return err
	}

	line, err := w.broadcast(payload(size))
	if err != nil {
		return err
	}

	msg := payload(size)
	sides := []side{{name: raw, run: func(n int) error { return repeat(n, func() error { return b.call(msg) }) }}}

	for i, depth := range depths {
		seat := all.take(i + 1)
		if err := receive(seat); err != nil {
			return err
		}

		if depth == len(sides)-1 { // the first player that far down
			sides = append(sides, deliveries(size, 1, line, seat, w.players[i]))
		}
	}

	times, err := p.compare(sides...)
	if err != nil {
		return err
	}

	for hops, series := range times[1:] {
		t.ratio(fmt.Sprintf("orchestrator to a player %d hops away, 1 KiB, plain, vs unary", hops+1), "",
			series.over(times[0]))
	}

	return nil
}
