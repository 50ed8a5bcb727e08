package dedupe

import "slices"

// Window is how many sequences below the highest one are remembered.
const Window = 4096

// few is how many sequences a window remembers before it takes the memory for all.
const few = 6

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

// window is what is known of the sequences in (high-Window, high] of one sender. Most senders
// send little to most receivers, so that their windows have no bits.
type window struct {
	high uint64
	// first are the sequences that have been marked, and marked is how many there are. Where bits
	// is set, they are there instead.
	first  [few]uint64
	marked int
	// bits is a ring with a bit for each sequence.
	bits *[Window / 64]uint64

	// holders counts the shares that have the window.
	holders int
}

func (w *window) check(sequence uint64) Verdict {
	switch {
	case sequence > w.high:
		return New
	case w.high-sequence >= Window:
		return Stale
	case w.has(sequence):
		return Seen
	default:
		return Late
	}
}

// has tells whether a sequence in the window has been marked.
func (w *window) has(sequence uint64) bool {
	if w.bits != nil {
		return w.bits[sequence/64%uint64(len(w.bits))]&(1<<(sequence%64)) != 0
	}

	return slices.Contains(w.first[:w.marked], sequence)
}

func (w *window) mark(sequence uint64) {
	if sequence > w.high {
		w.advance(sequence)
	}

	if w.bits == nil && w.marked < few {
		w.first[w.marked] = sequence
		w.marked++

		return
	}

	if w.bits == nil {
		w.spread()
	}

	w.set(sequence)
}

func (w *window) set(sequence uint64) {
	w.bits[sequence/64%uint64(len(w.bits))] |= 1 << (sequence % 64)
}

// spread takes the memory for all sequences of the window.
func (w *window) spread() {
	w.bits = new([Window / 64]uint64)

	for _, s := range w.first {
		w.set(s)
	}
}

// advance moves the window up and forgets what leaves it.
func (w *window) advance(high uint64) {
	switch {
	case w.bits == nil:
		kept := 0

		for _, s := range w.first[:w.marked] {
			if high-s < Window {
				w.first[kept] = s
				kept++
			}
		}

		w.marked, w.high = kept, high
	case high-w.high >= Window:
		clear(w.bits[:])
		w.high = high
	default:
		for w.high < high {
			w.high++
			w.bits[w.high/64%uint64(len(w.bits))] &^= 1 << (w.high % 64)
		}
	}
}
