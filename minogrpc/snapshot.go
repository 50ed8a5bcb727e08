package minogrpc

import (
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc/certs"
)

// Snapshot is what a node knows about itself at one moment: see [Minogrpc.Snapshot].
type Snapshot struct {
	host.Snapshot

	// At is the time of the snapshot, by the clock of the node.
	At time.Time `json:"at"`
	// Memory says who uses how much of the memory of the node, in bytes.
	Memory session.MemoryUsage `json:"memory"`
	// Peers is how many other nodes the store has certificates of.
	Peers int `json:"peers"`
	// Accepted is how many connections others have to this node, and Dialled how many this node has to
	// others. A connection that nobody uses counts while it is kept.
	Accepted int `json:"accepted"`
	Dialled  int `json:"dialled"`
}

// Snapshot returns a copy of what the node knows about itself: its streams with their neighbours and
// what waits for them, the handlers that run, its memory, peers and connections. It is bounded, waits
// for nobody else's node, and may be called at any time, also after Stop. The field names in JSON stay
// as they are documented.
func (m *Minogrpc) Snapshot() Snapshot {
	snap := Snapshot{
		Snapshot: m.host.Snapshot(),
		At:       time.Now(),
		Memory:   m.shared.Usage(),
		Accepted: m.tally.count(claim{kind: allConnections}),
		Dialled:  m.conns.Len(),
	}

	// The store may be somebody else's. One that cannot be read knows nobody.
	_ = m.contain(func() error {
		return m.store.Range(func(addr mino.Address, _ certs.CertChain) bool {
			if !addr.Equal(m.me) {
				snap.Peers++
			}

			return true
		})
	})

	return snap
}

// count returns how much is claimed.
func (t *tally) count(c claim) int {
	t.mu.Lock()
	defer t.mu.Unlock()

	return t.counts[c]
}
