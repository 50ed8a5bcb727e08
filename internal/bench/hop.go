package main

import (
	"errors"
	"fmt"
	"runtime"
)

// inFlight is how many messages are under way in the rows about many at once.
const inFlight = 64

// hop is a message from one node to its neighbour.
type hop struct {
	size   int
	many   bool
	secure bool
}

// hops are the rows of every size and transport, with one message at a time and with
// many: the first is about latency, the second about what a message costs.
func hops() []measurement {
	sizes := []int{64, 1 << 10, 64 << 10, 1 << 20}
	all := make([]measurement, 0, 4*len(sizes))

	for _, secure := range []bool{false, true} {
		for _, size := range sizes {
			for _, many := range []bool{false, true} {
				h := hop{size: size, many: many, secure: secure}
				all = append(all, measurement{h.String(), h.measure})
			}
		}
	}

	return all
}

// String names the hop in the table.
func (h hop) String() string {
	how := "one at a time"
	if h.many {
		how = fmt.Sprintf("%d in flight", inFlight)
	}

	return fmt.Sprintf("hop, %s, %s, %s", bytesOf(h.size), transport(h.secure), how)
}

// bytesOf prints a size.
func bytesOf(size int) string {
	switch {
	case size < 1<<10:
		return fmt.Sprintf("%d B", size)
	case size < 1<<20:
		return fmt.Sprintf("%d KiB", size>>10)
	default:
		return fmt.Sprintf("%d MiB", size>>20)
	}
}

// transport names what is under gRPC.
func transport(secure bool) string {
	if secure {
		return "TLS"
	}

	return "plain"
}

// target returns what the ratio to unary calls is to become.
func (h hop) target() string {
	one, many := "0.5", "0.25"

	switch h.size {
	case 64 << 10:
		one, many = "1.0", "0.5"
	case 1 << 20:
		one, many = "1.6", "1.1"
	}

	if h.many {
		return many
	}

	return one
}

// measure compares a hop from the root to its child with both kinds of call.
func (h hop) measure(p plan, t *table) error {
	d, err := newDuel(h.secure)
	if err != nil {
		return err
	}

	atOnce := 1
	if h.many {
		atOnce = p.inFlight
	}

	times, err := p.compare(d.unary(h.size, atOnce), d.bidi(h.size, atOnce), d.hop(h.size, atOnce))
	if err == nil {
		t.ratio(h.String()+", vs unary", h.target(), times[2].over(times[0]))
		t.ratio(h.String()+", vs bidi", "", times[2].over(times[1]))
	}

	return errors.Join(err, d.close())
}

// measureOrchestrator is about the hop that goes over the stream itself.
func measureOrchestrator(p plan, t *table) (err error) {
	d, err := newDuel(false)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, d.close()) }()

	const size = 1 << 10

	times, err := p.compare(d.unary(size, 1), d.first(size, 1))
	if err != nil {
		return err
	}

	t.ratio("orchestrator to root, 1 KiB, plain, one at a time, vs unary", "", times[1].over(times[0]))

	times, err = p.compare(d.unary(size, p.inFlight), d.first(size, p.inFlight))
	if err == nil {
		t.ratio(fmt.Sprintf("orchestrator to root, 1 KiB, plain, %d in flight, vs unary", inFlight), "",
			times[1].over(times[0]))
	}

	return err
}

// measureAllocations counts what both ends allocate for one hop.
func measureAllocations(p plan, t *table) error {
	d, err := newDuel(false)
	if err != nil {
		return err
	}

	var calls, hops series

	for range p.rounds {
		before, err := allocations(d.unary(1<<10, 1), p)
		if err != nil {
			return errors.Join(err, d.close())
		}

		after, err := allocations(d.hop(1<<10, 1), p)
		if err != nil {
			return errors.Join(err, d.close())
		}

		calls, hops = append(calls, before), append(hops, after)
	}

	t.count("allocations per unary call of 1 KiB, plain", "", calls)
	t.count("allocations per hop of 1 KiB, plain", "50", hops)

	return d.close()
}

// allocations returns how many an operation takes, in the whole process.
func allocations(s side, p plan) (float64, error) {
	n, err := p.calibrate(s)
	if err != nil {
		return 0, err
	}

	var before, after runtime.MemStats

	runtime.ReadMemStats(&before)

	if err := s.run(n); err != nil {
		return 0, err
	}

	runtime.ReadMemStats(&after)

	return float64(after.Mallocs-before.Mallocs) / float64(n), nil
}
