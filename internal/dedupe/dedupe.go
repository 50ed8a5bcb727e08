// Package dedupe recognises packets that have been delivered before.
//
// A packet is known by its origin, a random identity of the sending session, and
// its sequence there. Sequences of one origin have gaps, as not every packet is
// for this node, and arrive slightly out of order, as there may be several ways.
// For each origin a window remembers the newest sequences one by one; what is
// older than the window can be told from nothing and counts as stale.
//
// The types belong to one goroutine at a time.
package dedupe

// Window is how many sequences below the highest one are remembered.
const Window = 4096

// maxOrigins bounds the origins that are remembered. Past it the oldest goes.
const maxOrigins = 4096

// Verdict says what is known about a packet.
type Verdict int

const (
	// New packets have not been seen, and are newer than all that have.
	New Verdict = iota
	// Late packets have not been seen, but a newer one of the same origin has.
	Late
	// Seen packets have been delivered.
	Seen
	// Stale packets are too old to know.
	Stale
)

// Memory remembers the packets of many origins. The zero value is empty.
type Memory struct {
	origins map[string]*window
	// order holds the origins by age, so that a flood of invented ones replaces
	// entries instead of growing the memory.
	order []string
	next  int
}

// Check tells whether the packet has been marked before.
func (m *Memory) Check(origin []byte, sequence uint64) Verdict {
	w := m.origins[string(origin)]
	if w == nil {
		return New
	}

	return w.check(sequence)
}

// Mark remembers the packet.
func (m *Memory) Mark(origin []byte, sequence uint64) {
	w := m.origins[string(origin)]
	if w == nil {
		w = m.add(string(origin))
	}

	w.mark(sequence)
}

// add makes room for an origin.
func (m *Memory) add(origin string) *window {
	if m.origins == nil {
		m.origins = make(map[string]*window)
	}

	if len(m.order) < maxOrigins {
		m.order = append(m.order, origin)
	} else {
		delete(m.origins, m.order[m.next])
		m.order[m.next] = origin
		m.next = (m.next + 1) % maxOrigins
	}

	w := new(window)
	m.origins[origin] = w

	return w
}

// window is a ring of bits, one for each sequence in (high-Window, high].
type window struct {
	high uint64
	bits [Window / 64]uint64
}

func (w *window) check(sequence uint64) Verdict {
	switch {
	case sequence > w.high:
		return New
	case w.high-sequence >= Window:
		return Stale
	case w.bits[sequence/64%uint64(len(w.bits))]&(1<<(sequence%64)) != 0:
		return Seen
	default:
		return Late
	}
}

func (w *window) mark(sequence uint64) {
	if sequence > w.high {
		w.advance(sequence)
	}

	w.bits[sequence/64%uint64(len(w.bits))] |= 1 << (sequence % 64)
}

// advance moves the window up and forgets what leaves it.
func (w *window) advance(high uint64) {
	if high-w.high >= Window {
		clear(w.bits[:])
		w.high = high

		return
	}

	for w.high < high {
		w.high++
		w.bits[w.high/64%uint64(len(w.bits))] &^= 1 << (w.high % 64)
	}
}
