// Package dedupe recognises packets that have been delivered before.
//
// A packet is known by its source, the origin, which is a random identity of the
// sending session, and its sequence there. The origin alone would do if it were a
// secret: but who passes a packet on learns it, and must not be able to send others in
// its name. Sequences of one sender have gaps, as not every packet is for this node, and
// arrive slightly out of order, as there may be several ways. For each sender, a source
// with an origin, a window remembers the newest sequences one by one; what is
// older than the window can be told from nothing and counts as stale.
//
// The types belong to one goroutine at a time.
package dedupe

import "hash/maphash"

// Window is how many sequences below the highest one are remembered.
const Window = 4096

// maxSenders bounds the senders that are remembered. Past it the oldest goes.
const maxSenders = 4096

// Verdict says what is known about a packet.
type Verdict int

const (
	// New packets have not been seen, and are newer than all that have.
	New Verdict = iota
	// Late packets have not been seen, but a newer one of the same sender has.
	Late
	// Seen packets have been delivered.
	Seen
	// Stale packets are too old to know.
	Stale
)

// sender is one session that sends. A sum stands for the text of the source, which may
// be long: nobody finds another text with the same one without the seed.
type sender struct {
	source uint64
	origin string
}

var sourceSeed = maphash.MakeSeed()

// Memory remembers the packets of many senders. The zero value is empty.
type Memory struct {
	senders map[sender]*window
	// order holds the senders by age, so that a flood of invented ones replaces
	// entries instead of growing the memory.
	order []sender
	next  int
}

// Check tells whether the packet has been marked before.
func (m *Memory) Check(source string, origin []byte, sequence uint64) Verdict {
	w := m.window(source, origin)
	if w == nil {
		return New
	}

	return w.check(sequence)
}

// Mark remembers the packet.
func (m *Memory) Mark(source string, origin []byte, sequence uint64) {
	w := m.window(source, origin)
	if w == nil {
		w = m.add(sender{maphash.String(sourceSeed, source), string(origin)})
	}

	w.mark(sequence)
}

// window returns what is known about a sender, or nil. The text of the origin is made
// in the index itself, where that takes no memory.
func (m *Memory) window(source string, origin []byte) *window {
	return m.senders[sender{maphash.String(sourceSeed, source), string(origin)}]
}

// add makes room for a sender.
func (m *Memory) add(s sender) *window {
	if m.senders == nil {
		m.senders = make(map[sender]*window)
	}

	if len(m.order) < maxSenders {
		m.order = append(m.order, s)
	} else {
		delete(m.senders, m.order[m.next])
		m.order[m.next] = s
		m.next = (m.next + 1) % maxSenders
	}

	w := new(window)
	m.senders[s] = w

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
