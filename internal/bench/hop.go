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

// goal returns what the ratio to unary calls is to become.
func (h hop) goal() goal {
	one, many := goal{0.5, 0.4}, goal{0.15, 0.12}

	switch h.size {
	case 1 << 10:
		many = goal{0.22, 0.19}
	case 64 << 10:
		one, many = goal{1, 0.85}, goal{0.5, 0.3}
	case 1 << 20:
		one, many = goal{1.6, 1.25}, goal{1.1, 0.9}
	}

	if h.many {
		return many
	}

	return one
}

// bidiGoal is that of the ratio to a bare stream.
func (h hop) bidiGoal() goal {
	switch {
	case h.many || h.size > 1<<10:
		return goal{}
	case h.size == 1<<10:
		return goal{1.05, 1.02}
	default:
		return goal{1.15, 1.05}
	}
}

// measure compares a hop from the root to its child with both kinds of call.
func (h hop) measure(p plan, t *table) error {
	d, err := newDuel(p, h.secure)
	if err != nil {
		return err
	}

	atOnce := 1
	if h.many {
		atOnce = p.inFlight
	}

	sides := append([]side{d.unary(h.size, atOnce), d.bidi(h.size, atOnce)}, d.hops(h.size, atOnce)...)

	times, err := p.Compare(sides...)
	if err == nil {
		t.ratio(h.String()+", vs unary", h.goal(), p.linkCells(allOver(times[2:], times[0]))...)
		t.ratio(h.String()+", vs bidi", h.bidiGoal(), p.linkCells(allOver(times[2:], times[1]))...)
	}

	return errors.Join(err, d.close())
}

// measureOrchestrator is about the hop that is over a duplex link in any mode.
func measureOrchestrator(p plan, t *table) (err error) {
	d, err := newDuel(p, false)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, d.close()) }()

	const size = 1 << 10

	times, err := p.Compare(append([]side{d.unary(size, 1)}, d.firsts(size, 1)...)...)
	if err != nil {
		return err
	}

	t.ratio("orchestrator to root, 1 KiB, plain, one at a time, vs unary", goal{},
		p.linkCells(allOver(times[1:], times[0]))...)

	times, err = p.Compare(append([]side{d.unary(size, p.inFlight)}, d.firsts(size, p.inFlight)...)...)
	if err == nil {
		t.ratio(fmt.Sprintf("orchestrator to root, 1 KiB, plain, %d in flight, vs unary", inFlight), goal{},
			p.linkCells(allOver(times[1:], times[0]))...)
	}

	return err
}

// measureAllocations counts what both ends allocate for one hop, with one message at a time
// and with many.
func measureAllocations(p plan, t *table) (err error) {
	d, err := newDuel(p, false)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, d.close()) }()

	one, err := p.countAllocations(d.hops(1<<10, 1)...)
	if err != nil {
		return err
	}

	many, err := p.countAllocations(d.hops(1<<10, p.inFlight)...)
	if err != nil {
		return err
	}

	t.count("allocations per hop, 1 KiB, plain, one at a time", goal{35, 30}, p.linkCells(one)...)
	t.count(fmt.Sprintf("allocations per hop, 1 KiB, plain, %d in flight", inFlight), goal{12, 8}, p.linkCells(many)...)

	return nil
}

// measureBareAllocations counts those of a unary call.
func measureBareAllocations(p plan, t *table) error {
	d, err := newDuel(plan{}, false)
	if err != nil {
		return err
	}

	counts, err := p.countAllocations(d.unary(1<<10, 1))
	if err == nil {
		t.count("allocations per unary call of raw gRPC, 1 KiB, plain", goal{}, counts...)
	}

	return errors.Join(err, d.close())
}

// countAllocations returns the allocations per operation of each side. They hardly vary.
func (p plan) countAllocations(sides ...side) ([]series, error) {
	counts := make([]series, len(sides))

	for range p.few() {
		for i, s := range sides {
			n, err := allocations(s, p)
			if err != nil {
				return nil, err
			}

			counts[i] = append(counts[i], n)
		}
	}

	return counts, nil
}

// allocations returns how many an operation takes, in the whole process.
func allocations(s side, p plan) (float64, error) {
	n, err := p.Calibrate(s)
	if err != nil {
		return 0, err
	}

	var before, after runtime.MemStats

	runtime.ReadMemStats(&before)

	if err := s.Run(n); err != nil {
		return 0, err
	}

	runtime.ReadMemStats(&after)

	return float64(after.Mallocs-before.Mallocs) / float64(n), nil
}
