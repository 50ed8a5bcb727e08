package main

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"golang.org/x/sync/errgroup"
)

// duel is what a hop is compared with, and an overlay of a root and its child.
type duel struct {
	bare  *bare
	world *world
	seats *seats

	orchestrator, root, child stream
}

// newDuel opens a stream over the overlay, so that all connections are there before
// anything is timed.
func newDuel(secure bool) (*duel, error) {
	b, err := newBare(secure)
	if err != nil {
		return nil, err
	}

	d := &duel{bare: b, seats: newSeats(2)}

	d.world, err = newWorld(shape{players: 2, secure: secure, handler: d.seats.handler})
	if err != nil {
		return nil, errors.Join(err, b.close())
	}

	d.orchestrator, err = d.world.broadcast(payload(1))
	if err != nil {
		return nil, errors.Join(err, d.close())
	}

	d.root, d.child = d.seats.take(1), d.seats.take(2)

	// The broadcast is not a part of what is measured.
	if err := errors.Join(d.root.collect(1), d.child.collect(1)); err != nil {
		return nil, errors.Join(err, d.close())
	}

	return d, nil
}

// close ends both sides. The handlers have to be let go first, because the nodes
// wait for them.
func (d *duel) close() error {
	d.seats.leave()

	return errors.Join(d.world.close(), d.bare.close())
}

// unary makes calls of that size, that many at once.
func (d *duel) unary(size, atOnce int) side {
	msg := payload(size)

	return side{name: raw, least: atOnce, run: func(n int) error {
		return share(n, atOnce, func() error { return d.bare.call(msg) })
	}}
}

// bidi sends messages over a bare stream, each of which gets a receipt.
func (d *duel) bidi(size, atOnce int) side {
	packet := &ptypes.Packet{Serialized: payload(size), Frame: 1}

	return side{name: raw, least: atOnce, run: func(n int) error { return d.bare.exchange(n, atOnce, packet) }}
}

// hop sends messages from the root to its child.
func (d *duel) hop(size, atOnce int) side {
	return deliveries(size, atOnce, d.root, d.child, d.world.players[1])
}

// first sends messages from the orchestrator to the root.
func (d *duel) first(size, atOnce int) side {
	return deliveries(size, atOnce, d.orchestrator, d.root, d.world.players[0])
}

// deliveries sends messages and waits until each has been received and its outcome
// is known.
func deliveries(size, atOnce int, from, to stream, addr mino.Address) side {
	msg := payload(size)

	return side{name: ours, least: atOnce, run: func(n int) error {
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
