package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session/internal/bench/paired"
	"golang.org/x/sync/errgroup"
)

const (
	// patience is how long a scale run waits for the answers to a question. Without it a lost
	// answer would stop the command for ever.
	patience = 2 * time.Minute

	// scaleRounds is how many further rounds there are. The cost is their median.
	scaleRounds = 9

	// growth bounds the cost per player, as a multiple of that with the fewest players.
	growth = 1.3
)

// measureScale prints what a round over all the players costs each of them, with the default
// options. It returns an error when an outcome or an answer is missing or comes twice.
func measureScale(t *table, sizes ...int) error {
	t.printf("| network | players | first round, per player | further rounds, per player | to the fewest players |\n" +
		"|---|---:|---:|---:|---|\n")

	for _, inMemory := range []bool{true, false} {
		network, least := "TCP", 0.0
		if inMemory {
			network = "memory"
		}

		for _, players := range sizes {
			first, further, err := scale(shape{mode: duplex, players: players, defaults: true, inMemory: inMemory})
			if err != nil {
				return fmt.Errorf("%d players over %s: %w", players, network, err)
			}

			if least == 0 {
				least = further
			}

			verdict := "within the bound"
			if further > growth*least {
				verdict = "ABOVE the bound"
			}

			t.printf("| %s | %d | %.3f ms | %.3f ms | %.2f, %s of %.1f |\n",
				network, players, 1000*first, 1000*further, further/least, verdict, growth)
		}
	}

	return t.err
}

// scale returns the seconds per player of the first round, which sets the links up, and of the
// rounds that follow.
func scale(s shape) (first, further float64, err error) {
	w, err := newWorld(s)
	if err != nil {
		return 0, 0, err
	}

	defer func() { err = errors.Join(err, w.close()) }()

	var (
		line  stream
		times series
	)

	for number := range 1 + scaleRounds {
		took, err := paired.Timed(func() (err error) {
			if number == 0 {
				if line, err = w.open(w.players...); err != nil {
					return err
				}
			}

			return w.ask(line, number)
		})
		if err != nil {
			return 0, 0, err
		}

		times = append(times, took.Seconds()/float64(s.players))
	}

	return times[0], times[1:].Quantile(0.5), nil
}

// ask sends a question to all the players. It returns when it has all the outcomes and one
// answer of each player, and an error when any of them is bad, or an answer is missing or comes
// twice: players send the number of the question back.
func (w *world) ask(line stream, number int) error {
	msg := payload(64)
	binary.BigEndian.PutUint32(msg, uint32(number))

	var group errgroup.Group

	outcomes := line.out.Send(msg, w.players...)

	group.Go(func() error { return settled(outcomes) })
	group.Go(func() error { return w.gather(line, uint32(number)) })

	return group.Wait()
}

// gather takes the answers to a question.
func (w *world) gather(line stream, number uint32) error {
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()

	answered := make(map[string]bool, len(w.players))

	for range w.players {
		from, msg, err := line.in.Recv(ctx)
		if err != nil {
			return fmt.Errorf("%d of %d players have answered: %w", len(answered), len(w.players), err)
		}

		answer, ok := msg.(blob)
		if !ok || len(answer) < 4 || binary.BigEndian.Uint32(answer) != number || answered[from.String()] {
			return fmt.Errorf("%v has given another answer to question %d", from, number)
		}

		answered[from.String()] = true
	}

	return nil
}
