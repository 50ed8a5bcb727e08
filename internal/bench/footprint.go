package main

import (
	"bytes"
	"errors"
	"runtime"
	"time"
)

// measureFootprint counts what streams over a tree of 32 nodes hold while nothing
// happens in them.
func measureFootprint(p plan, t *table, secure bool) error {
	const players = 32

	n := len(p.modes)
	first, further, stacks, running := make([]series, n), make([]series, n), make([]series, n), make([]series, n)
	goroutines, conns := make([]series, n), make([]series, n)

	for range p.few() {
		for i, m := range p.modes {
			f, err := newFootprint(shape{mode: m, players: players, secure: secure, liveness: p.rest})
			if err != nil {
				return err
			}

			first[i] = append(first[i], f.first/players)
			further[i] = append(further[i], f.further/players)
			stacks[i] = append(stacks[i], f.stack/players)
			running[i] = append(running[i], f.running/players)
			goroutines[i] = append(goroutines[i], f.goroutines/players)
			conns[i] = append(conns[i], f.conns/players)
		}
	}

	what := ", tree of 32, " + transport(secure)
	t.kibibytes("live heap per session"+what+", with its connections", goal{150, 100}, first...)
	t.kibibytes("live heap per session"+what+", on connections that exist", goal{14, 10}, further...)
	t.kibibytes("stack per session"+what+", on connections that exist", goal{22, 16}, stacks...)
	t.count("goroutines per session"+what+", on connections that exist", goal{5, 4}, running...)
	t.count("goroutines per neighbour"+what+", both ends, without gRPC's own", goal{2, 1}, goroutines...)
	t.count("connections per neighbour"+what, goal{1, 1}, conns...)

	return nil
}

// footprint is what is held after one stream has been used by all its players, and
// by each further stream.
type footprint struct {
	first, further, stack      float64 // bytes
	running, goroutines, conns float64
}

// newFootprint makes an overlay of its own, which no earlier stream has left
// anything in.
func newFootprint(s shape) (f footprint, err error) {
	w, err := newWorld(s)
	if err != nil {
		return f, err
	}

	defer func() { err = errors.Join(err, w.close()) }()

	const more = 4

	heap, own := live().heap, ownGoroutines()

	if err = w.use(1); err != nil {
		return f, err
	}

	// Links that are idle come to rest within two of three heartbeats.
	time.Sleep(s.liveness)

	one := live()
	f.first = one.heap - heap
	f.goroutines = ownGoroutines() - own
	f.conns = float64(w.conns.Load())

	if err = w.use(more); err != nil {
		return f, err
	}

	f.further = (live().heap - one.heap) / more

	time.Sleep(s.liveness)

	all := live()
	f.stack = (all.stack - one.stack) / more
	f.running = (all.goroutines - one.goroutines) / more

	return f, nil
}

// use opens that many streams, and has all their players answer once.
func (w *world) use(streams int) error {
	return repeat(streams, func() error {
		line, err := w.broadcast(payload(1 << 10))
		if err != nil {
			return err
		}

		return line.collect(len(w.players))
	})
}

// holding is what a process holds: bytes in use, and goroutines.
type holding struct{ heap, stack, goroutines float64 }

// live returns what is in use once nothing happens any more.
func live() holding {
	awaitSilence()

	// What is in a sync.Pool goes with the second collection.
	runtime.GC()
	runtime.GC()

	var stats runtime.MemStats

	runtime.ReadMemStats(&stats)

	return holding{float64(stats.HeapAlloc), float64(stats.StackInuse), float64(runtime.NumGoroutine())}
}

// awaitSilence waits until the number of goroutines has not changed for a while.
func awaitSilence() {
	const pause, enough = 10 * time.Millisecond, 5

	before, same := -1, 0

	for same < enough {
		time.Sleep(pause)

		now := runtime.NumGoroutine()
		if now == before {
			same++
		} else {
			before, same = now, 0
		}
	}
}

// ownGoroutines returns how many goroutines run code of the library and were not
// started by gRPC. The handlers, which are in this package, do not count.
func ownGoroutines() float64 {
	stacks := make([]byte, 1<<20)
	for {
		n := runtime.Stack(stacks, true)
		if n < len(stacks) {
			stacks = stacks[:n]

			break
		}

		stacks = make([]byte, 2*len(stacks))
	}

	own := 0

	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		switch {
		case bytes.Contains(stack, []byte("/internal/bench/")):
		case bytes.Contains(stack, []byte("created by google.golang.org/grpc")):
		case bytes.Contains(stack, []byte("github.com/minogrpc/session")):
			own++
		}
	}

	return float64(own)
}
