// Package paired compares what several sides take for the same. Each round runs all of them, one
// after the other and each after a garbage collection, and gives one sample for each: what else happens on the
// machine falls on all sides.
package paired

import (
	"context"
	"iter"
	"runtime"
	"runtime/pprof"
	"time"
)

// Side is one of those that are compared.
type Side struct {
	// Name tells the side from the others in a profile, as the label "side".
	Name string

	// Run does the operation that many times.
	Run func(n int) error

	// Least is the smallest number of operations that makes sense. Zero is one.
	Least int
}

// Plan says how thoroughly to compare.
type Plan struct {
	// Rounds is how many samples there are of each side.
	Rounds int

	// Slice is how long one side of a round runs at least.
	Slice time.Duration

	// CPU compares the time that the process has a processor, in place of all the time. What else
	// happens on the machine matters less then, and so does waiting.
	CPU bool

	// Until is when to stop on a machine that is slow, or busy with something else. There are a
	// few rounds nevertheless. Zero is never.
	Until time.Time
}

// leastRounds is how many rounds there are when the time is up.
const leastRounds = 5

// Turns counts the rounds.
func (p Plan) Turns() iter.Seq[int] {
	return func(yield func(int) bool) {
		for round := range p.Rounds {
			late := !p.Until.IsZero() && time.Now().After(p.Until)
			if late && round >= leastRounds || !yield(round) {
				return
			}
		}
	}
}

// coldFactor is how much slower the first operations may be than those that follow.
const coldFactor = 10

// Compare times the sides one after the other, round after round, and returns the
// seconds per operation of each.
func (p Plan) Compare(sides ...Side) ([]Series, error) {
	counts := make([]int, len(sides))
	times := make([]Series, len(sides))

	for i, s := range sides {
		var err error
		if counts[i], err = p.Calibrate(s); err != nil {
			return nil, err
		}
	}

	for range p.Turns() {
		for i, s := range sides {
			took, err := p.sample(s, counts[i])
			if err != nil {
				return nil, err
			}

			times[i] = append(times[i], took.Seconds()/float64(counts[i]))
		}
	}

	return times, nil
}

// sample returns what is compared, for that many operations of a side.
func (p Plan) sample(s Side, n int) (time.Duration, error) {
	if !p.CPU {
		return s.Time(n)
	}

	// A collection that is under way is not the side's.
	runtime.GC()

	before, err := processorTime()
	if err != nil {
		return 0, err
	}

	if err := Labelled(s.Name, func() error { return s.Run(n) }); err != nil {
		return 0, err
	}

	after, err := processorTime()

	return after - before, err
}

// Calibrate warms a side up, and returns how many operations fill a slice.
func (p Plan) Calibrate(s Side) (int, error) {
	n := max(s.Least, 1)

	// The first time is slower, and counts only if it is far beyond the slice.
	took, err := s.Time(n)
	if err != nil || took >= coldFactor*p.Slice {
		return n, err
	}

	for {
		took, err = s.Time(n)
		if err != nil || took >= p.Slice {
			return n, err
		}

		n *= 2
	}
}

// Time runs the operations after a garbage collection, so that no side pays for
// what another has left behind.
func (s Side) Time(n int) (time.Duration, error) {
	runtime.GC()

	var took time.Duration

	err := Labelled(s.Name, func() (err error) {
		took, err = Timed(func() error { return s.Run(n) })

		return err
	})

	return took, err
}

// Timed returns how long the function takes.
func Timed(fn func() error) (time.Duration, error) {
	begin := time.Now()
	err := fn()

	return time.Since(begin), err
}

// Labelled runs the function, and all the goroutines that come from it, under a
// label by which a profile tells the sides apart.
func Labelled(name string, fn func() error) (err error) {
	pprof.Do(context.Background(), pprof.Labels("side", name), func(context.Context) { err = fn() })

	return err
}
