package main

import (
	"errors"
	"fmt"

	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/sessiontest"
)

// measureDepth compares messages from the orchestrator to players further and
// further down a tree of 32 with one unary call.
func measureDepth(p plan, t *table) (err error) {
	const players, size = 32, 1 << 10

	b, err := newBare(false)
	if err != nil {
		return err
	}

	msg := payload(size)
	sides := []side{{Name: raw, Run: func(n int) error { return repeat(n, func() error { return b.call(msg) }) }}}

	var chains []*chain

	defer func() {
		for _, c := range chains {
			err = errors.Join(err, c.close())
		}

		err = errors.Join(err, b.close())
	}()

	for _, m := range p.modes {
		c, err := newChain(shape{mode: m, players: players}, size)
		if err != nil {
			return err
		}

		chains = append(chains, c)
		sides = append(sides, c.sides...)
	}

	times, err := p.Compare(sides...)
	if err != nil || len(chains) == 0 {
		return err
	}

	depths := len(chains[0].sides)

	for hops := range depths {
		var cells []series
		for i := range chains {
			cells = append(cells, times[1+i*depths+hops].Over(times[0]))
		}

		t.ratio(fmt.Sprintf("orchestrator to a player %d hops away, 1 KiB, plain, vs unary", hops+1), goal{}, cells...)
	}

	return nil
}

// chain is an overlay, and messages to a player of each depth in it.
type chain struct {
	world *world
	seats *seats
	sides []side
}

// newChain finds the first player of each depth.
func newChain(s shape, size int) (*chain, error) {
	var err error

	c := &chain{seats: newSeats(s.players)}
	s.handler = c.seats.handler

	c.world, err = newWorld(s)
	if err != nil {
		return nil, err
	}

	if err := c.open(size); err != nil {
		return nil, errors.Join(err, c.close())
	}

	return c, nil
}

func (c *chain) open(size int) error {
	depths, err := sessiontest.Depths(tree.NewRouter(minogrpc.NewAddressFactory()), c.world.players)
	if err != nil {
		return err
	}

	line, err := c.world.broadcast(payload(size))
	if err != nil {
		return err
	}

	for i, depth := range depths {
		seat := c.seats.take(i + 1)
		if err := receive(seat); err != nil {
			return err
		}

		if depth == len(c.sides) { // the first player that far down
			c.sides = append(c.sides, deliveries(size, 1, line, seat, c.world.players[i]))
		}
	}

	return nil
}

func (c *chain) close() error {
	c.seats.leave()

	return c.world.close()
}
