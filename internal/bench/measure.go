package main

import (
	"slices"
	"time"

	"github.com/minogrpc/session/internal/bench/paired"
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
	paired.Plan

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
	return max(1, p.Rounds/5)
}

// some returns the number of rounds for what takes long and varies.
func (p plan) some() int {
	return max(1, p.Rounds/2)
}

// side is one of those that are compared, and series are its samples.
type (
	side   = paired.Side
	series = paired.Series
)

// The names of the sides, in profiles.
const (
	raw  = "raw"
	ours = "ours"
)
