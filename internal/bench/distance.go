package main

import (
	"errors"
	"fmt"
	"time"
)

// farAway is the round trip of the rows about distant nodes.
const farAway = 20 * time.Millisecond

// measureRoundTrips counts the round trips that a hop takes, over links of which that is
// the only cost: one there and back, however many messages share it, is the least.
func measureRoundTrips(p plan, t *table) error {
	for _, rtt := range []time.Duration{farAway / 20, farAway / 4, farAway} {
		one, many, err := timeTrips(p, rtt)
		if err != nil {
			return err
		}

		t.ratio(fmt.Sprintf("hop, 1 KiB, plain, one at a time, in round trips of %v", rtt), goal{},
			p.linkCells(one)...)
		t.ratio(fmt.Sprintf("%d hops at once, 1 KiB, plain, in round trips of %v", inFlight, rtt), goal{},
			p.linkCells(many)...)
	}

	return nil
}

// timeTrips returns how many round trips one message takes, and many at once.
func timeTrips(p plan, rtt time.Duration) (one, many []series, err error) {
	const size = 1 << 10

	pairs, err := forEach(p.linkModes(), func(m mode) (*pair, error) {
		return newPair(shape{mode: m, players: 2, delay: rtt / 2})
	})

	defer func() {
		for _, pair := range pairs {
			err = errors.Join(err, pair.close())
		}
	}()

	if err != nil {
		return nil, nil, err
	}

	var sides []side

	for _, atOnce := range []int{1, p.inFlight} {
		for _, pair := range pairs {
			sides = append(sides, deliveries(size, atOnce, pair.root, pair.child, pair.world.players[1]))
		}
	}

	times, err := p.Compare(sides...)
	if err != nil {
		return nil, nil, err
	}

	for i, s := range times {
		for round := range s {
			s[round] /= rtt.Seconds()

			if i >= len(pairs) {
				s[round] *= float64(p.inFlight)
			}
		}
	}

	return times[:len(pairs)], times[len(pairs):], nil
}
