package main

import (
	"context"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"
)

// measurement gives one or more rows of the table.
type measurement struct {
	name string
	run  func(plan, *table) error
}

// overModes returns what is measured in each mode, in the order of the table.
func overModes() []measurement {
	return slices.Concat(
		hops(),
		[]measurement{
			{"allocations of a hop", measureAllocations},
			{"orchestrator's hop", measureOrchestrator},
			{"wait behind a large message", measureWait},
			{"depth", measureDepth},
			{"round trips", measureRoundTrips},
			{"first message at every player", measureArrival},
		},
		pours(),
		rounds(),
		shorts(),
		[]measurement{
			{"first broadcast", measureFirstBroadcast},
			{"first broadcast over distance", measureDistance},
			{"footprint plain", func(p plan, t *table) error { return measureFootprint(p, t, false) }},
			{"footprint TLS", func(p plan, t *table) error { return measureFootprint(p, t, true) }},
		},
	)
}

// once returns what is the same in all modes.
func once() []measurement {
	return []measurement{
		{"allocations of a call", measureBareAllocations},
		{"set-up of a stream", measureSetup},
		{"crowd", measureCrowd},
		{"peak heap", measurePeak},
		{"forward", measureForward},
		{"queue", measureQueue},
	}
}

// plan says how thoroughly to measure.
type plan struct {
	// rounds is how many samples a figure is the median of.
	rounds int

	// slice is how long one side of a round runs at least.
	slice time.Duration

	// inFlight is how many operations are under way in the rows about many at once,
	// players how many there are at most in the rounds, large the size of what is in the
	// way of others, in bytes, and burst how many messages each of a crowd sends. Less than the
	// rows say is for tests only.
	inFlight, players, large, burst int

	// rest is how long a neighbour may be silent where idle links are looked at, and how
	// long these are left alone before. It is not so short that a busy machine is taken
	// for a lost neighbour. Zero, which is for tests only, is the default and no time.
	rest time.Duration

	// modes are those that are measured.
	modes []mode
}

// few returns the number of rounds for what takes long, or hardly varies.
func (p plan) few() int {
	return max(1, p.rounds/5)
}

// some returns the number of rounds for what takes long and varies.
func (p plan) some() int {
	return max(1, p.rounds/2)
}

// The names of the sides, in profiles.
const (
	raw  = "raw"
	ours = "ours"
)

// coldFactor is how much slower the first operations may be than those that follow.
const coldFactor = 10

// side is one of those that are compared.
type side struct {
	name string

	// run does the operation that many times.
	run func(n int) error

	// least is the smallest number of operations that makes sense. Zero is one.
	least int
}

// compare times the sides one after the other, round after round, and returns the
// seconds per operation of each.
func (p plan) compare(sides ...side) ([]series, error) {
	counts := make([]int, len(sides))
	times := make([]series, len(sides))

	for i, s := range sides {
		var err error
		if counts[i], err = p.calibrate(s); err != nil {
			return nil, err
		}
	}

	for range p.rounds {
		for i, s := range sides {
			took, err := s.time(counts[i])
			if err != nil {
				return nil, err
			}

			times[i] = append(times[i], took.Seconds()/float64(counts[i]))
		}
	}

	return times, nil
}

// calibrate warms a side up, and returns how many operations fill a slice.
func (p plan) calibrate(s side) (int, error) {
	n := max(s.least, 1)

	// The first time is slower, and counts only if it is far beyond the slice.
	took, err := s.time(n)
	if err != nil || took >= coldFactor*p.slice {
		return n, err
	}

	for {
		took, err = s.time(n)
		if err != nil || took >= p.slice {
			return n, err
		}

		n *= 2
	}
}

// time runs the operations after a garbage collection, so that no side pays for
// what another has left behind.
func (s side) time(n int) (time.Duration, error) {
	runtime.GC()

	var took time.Duration

	err := labelled(s.name, func() (err error) {
		took, err = timed(func() error { return s.run(n) })

		return err
	})

	return took, err
}

// timed returns how long the function takes.
func timed(fn func() error) (time.Duration, error) {
	begin := time.Now()
	err := fn()

	return time.Since(begin), err
}

// labelled runs the function, and all the goroutines that come from it, under a
// label by which a profile tells the sides apart.
func labelled(name string, fn func() error) (err error) {
	pprof.Do(context.Background(), pprof.Labels("side", name), func(context.Context) { err = fn() })

	return err
}
