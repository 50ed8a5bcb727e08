package parcel

import "time"

// mostSampled is how many parcels Load looks at to find the oldest.
const mostSampled = 4096

// Load is what waits in a box.
type Load struct {
	// Packets and Bytes are what is held.
	Packets, Bytes int
	// Since is when the oldest parcel began its way at this node, or zero in an empty box. In a box
	// with more than 4,096 parcels it is the oldest of some 4,096.
	Since time.Time
}

// Load returns what waits.
func (b *Box) Load() Load {
	load := Load{Packets: len(b.held), Bytes: b.bytes}
	left := mostSampled

	for _, p := range b.held {
		if load.Since.IsZero() || p.Since.Before(load.Since) {
			load.Since = p.Since
		}

		if left--; left == 0 {
			break
		}
	}

	return load
}

// Added returns how many parcels have been added so far, and what they have counted for together.
func (b *Box) Added() (packets, bytes uint64) {
	return b.last, b.total
}

// Add adds what waits somewhere else.
func (l *Load) Add(other Load) {
	l.Packets += other.Packets
	l.Bytes += other.Bytes

	if l.Since.IsZero() || !other.Since.IsZero() && other.Since.Before(l.Since) {
		l.Since = other.Since
	}
}
