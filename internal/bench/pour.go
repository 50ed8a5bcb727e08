package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/minogrpc/session/mino"
	"golang.org/x/sync/errgroup"
)

// pours are messages of one sender to its neighbour, of whose outcomes it awaits none.
func pours() []measurement {
	sizes := []int{64, 1 << 10}
	all := make([]measurement, 0, len(sizes))

	for _, size := range sizes {
		what := fmt.Sprintf("un-awaited, one sender, %s, plain", bytesOf(size))
		all = append(all, measurement{what, func(p plan, t *table) error { return measurePour(p, t, what, size) }})
	}

	return all
}

// measurePour compares them with a bare stream in one direction.
func measurePour(p plan, t *table, what string, size int) error {
	d, err := newDuel(p, false)
	if err != nil {
		return err
	}

	msg := payload(size)
	sides := []side{{Name: raw, Run: func(n int) error { return d.bare.pour(n, msg) }}}

	for _, pair := range d.pairs {
		sides = append(sides, side{Name: ours, Run: func(n int) error {
			return pour(n, pair.root, pair.child, pair.world.players[1], msg)
		}})
	}

	g := goal{1.3, 0.8}
	if size > 64 {
		g = goal{1.2, 0.9}
	}

	times, err := p.Compare(sides...)
	if err == nil {
		t.ratio(what+", vs a one-way stream", g, p.linkCells(allOver(times[1:], times[0]))...)
	}

	return errors.Join(err, d.close())
}

// pour sends messages without looking at their outcomes, until all of them have been received.
func pour(n int, from, to stream, addr mino.Address, msg blob) error {
	var group errgroup.Group

	group.Go(func() error {
		for range n {
			from.out.Send(msg, addr)
		}

		return nil
	})
	group.Go(func() error { return to.await(n) })

	return group.Wait()
}

// await is collect where a message may be missing.
func (s stream) await(n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	for got := range n {
		if _, _, err := s.in.Recv(ctx); err != nil {
			return fmt.Errorf("%d of %d messages have come: %w", got, n, err)
		}
	}

	return nil
}
