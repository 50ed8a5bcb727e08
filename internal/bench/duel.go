package main

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"golang.org/x/sync/errgroup"
)

// duel is what a hop is compared with, and a pair of nodes in each mode.
type duel struct {
	bare  *bare
	pairs []*pair
}

// newDuel starts both sides.
func newDuel(p plan, secure bool) (*duel, error) {
	b, err := newBare(secure)
	if err != nil {
		return nil, err
	}

	d := &duel{bare: b}

	d.pairs, err = forEach(p.linkModes(), func(m mode) (*pair, error) {
		return newPair(shape{mode: m, players: 2, secure: secure})
	})
	if err != nil {
		return nil, errors.Join(err, d.close())
	}

	return d, nil
}

// close ends both sides.
func (d *duel) close() error {
	err := d.bare.close()
	for _, p := range d.pairs {
		err = errors.Join(err, p.close())
	}

	return err
}

// unary makes calls of that size, that many at once.
func (d *duel) unary(size, atOnce int) side {
	msg := payload(size)

	return side{Name: raw, Least: atOnce, Run: func(n int) error {
		return share(n, atOnce, func() error { return d.bare.call(msg) })
	}}
}

// bidi sends messages over a bare stream, each of which gets a receipt.
func (d *duel) bidi(size, atOnce int) side {
	packet := &ptypes.Packet{Serialized: payload(size), Frame: 1}

	return side{Name: raw, Least: atOnce, Run: func(n int) error { return d.bare.exchange(n, atOnce, packet) }}
}

// hops sends messages from the root to its child, in each mode.
func (d *duel) hops(size, atOnce int) []side {
	return d.sides(func(p *pair) side { return deliveries(size, atOnce, p.root, p.child, p.world.players[1]) })
}

// firsts sends messages from the orchestrator to the root, in each mode.
func (d *duel) firsts(size, atOnce int) []side {
	return d.sides(func(p *pair) side { return deliveries(size, atOnce, p.orchestrator, p.root, p.world.players[0]) })
}

func (d *duel) sides(of func(*pair) side) []side {
	sides := make([]side, len(d.pairs))
	for i, p := range d.pairs {
		sides[i] = of(p)
	}

	return sides
}

// pair is an overlay of a root and its child, and their ends of one stream.
type pair struct {
	world *world
	seats *seats

	orchestrator, root, child stream
}

// newPair opens a stream over a new overlay of two players, so that all connections are
// there before anything is timed.
func newPair(s shape) (*pair, error) {
	var err error

	p := &pair{seats: newSeats(s.players)}
	s.handler = p.seats.handler

	p.world, err = newWorld(s)
	if err != nil {
		return nil, err
	}

	p.orchestrator, err = p.world.broadcast(payload(1))
	if err != nil {
		return nil, errors.Join(err, p.close())
	}

	p.root, p.child = p.seats.take(1), p.seats.take(2)

	// The broadcast is not a part of what is measured.
	if err := errors.Join(p.root.collect(1), p.child.collect(1)); err != nil {
		return nil, errors.Join(err, p.close())
	}

	return p, nil
}

// close ends the overlay. The handlers have to be let go first, because the nodes wait
// for them.
func (p *pair) close() error {
	p.seats.leave()

	return p.world.close()
}

// deliveries sends messages and waits until each has been received and its outcome
// is known.
func deliveries(size, atOnce int, from, to stream, addr mino.Address) side {
	msg := payload(size)

	return side{Name: ours, Least: atOnce, Run: func(n int) error {
		if atOnce == 1 {
			return repeat(n, func() error {
				outcomes := from.out.Send(msg, addr)

				return errors.Join(receive(to), settled(outcomes))
			})
		}

		var group errgroup.Group

		group.Go(func() error { return share(n, atOnce, func() error { return settled(from.out.Send(msg, addr)) }) })
		group.Go(func() error { return to.collect(n) })

		return group.Wait()
	}}
}

// receive takes one message.
func receive(s stream) error {
	_, _, err := s.in.Recv(context.Background())

	return err
}

// share has the operation done n times by that many goroutines.
func share(n, atOnce int, op func() error) error {
	if atOnce == 1 {
		return repeat(n, op)
	}

	var (
		group errgroup.Group
		begun atomic.Int64
	)

	for range atOnce {
		group.Go(func() error {
			for begun.Add(1) <= int64(n) {
				if err := op(); err != nil {
					return err
				}
			}

			return nil
		})
	}

	return group.Wait()
}
