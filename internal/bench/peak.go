package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/minogrpc/session/serde"
)

// measurePeak looks at the heap while a large message comes, which the sender has held all along.
func measurePeak(p plan, t *table) (err error) {
	pair, err := newPair(shape{mode: duplex, players: 2})
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, pair.close()) }()

	var peaks series

	for range 1 + p.few() {
		peak, err := pair.peak(p.large)
		if err != nil {
			return err
		}

		peaks = append(peaks, peak/float64(p.large))
	}

	// The first time, nobody has had that much memory.
	t.ratio("peak heap of 64 MiB that come, over the message", goal{1.15, 1.05}, peaks[1:])

	return nil
}

// peak returns the largest live heap while a message of that size passes, above that before it.
func (p *pair) peak(size int) (float64, error) {
	msg := payload(size)
	before := live().heap
	most := before

	type arrival struct {
		msg serde.Message
		err error
	}

	came := make(chan arrival, 1)

	outcomes := p.root.out.Send(msg, p.world.players[1])

	go func() {
		_, msg, err := p.child.in.Recv(context.Background())
		came <- arrival{msg, err}
	}()

	for {
		select {
		case a := <-came:
			if got, ok := a.msg.(blob); a.err == nil && (!ok || len(got) != size) {
				a.err = fmt.Errorf("another message has come: %T", a.msg)
			}

			err := errors.Join(a.err, settled(outcomes))
			runtime.KeepAlive(msg)

			return most - before, err
		default:
			most = max(most, collected())
		}
	}
}

// collected returns the bytes in use after a collection, without a wait for others.
func collected() float64 {
	runtime.GC()

	var stats runtime.MemStats

	runtime.ReadMemStats(&stats)

	return float64(stats.HeapAlloc)
}
