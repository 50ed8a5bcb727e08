package sessiontest

import "time"

// fault is what is wrong with one direction. The lock of the network guards it.
type fault struct {
	// cut is always the same in both directions.
	cut    bool
	frozen bool
	delay  time.Duration
	// lane is nil where the bandwidth has never been limited.
	lane *lane
}

// Cut separates a node from others, in both directions, until [Network.Heal]. Their connections break at
// once: every Read and Write at either end fails with an error that wraps [syscall.ECONNRESET], and bytes
// that nobody has read are lost. New dials are refused. Both nodes notice a cut; they do not notice a
// [Network.Freeze].
//
// One call breaks all the connections before a node can notice the first break. If one call cuts a node
// off from all others, it is as if its process had died: it says nothing more to anybody.
func (n *Network) Cut(node string, others ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()

	ways := make(map[direction]bool, len(others))

	for _, other := range others {
		way := direction{from: node, to: other}
		ways[way] = true
		n.changeLocked(way, func(f *fault) { f.cut = true })
		n.changeLocked(way.reverse(), func(f *fault) { f.cut = true })
	}

	n.resetLocked(func(c *connection) bool {
		return ways[c.dialled.out.way] || ways[c.accepted.out.way]
	})
}

// Freeze stops everything on its way from one node to another, until [Network.Heal]. Neither node
// notices. Bytes stay where they are, the other node does not see that a connection is closed, and a
// Write blocks once the buffer of its connection is full. The other direction goes on. But the dials of
// both nodes hang, because a connection needs a round trip. Bytes that have arrived before can be read.
// Freeze both directions for a silent link. Freeze a node towards all others for a node whose packets
// all get lost.
func (n *Network) Freeze(from, to string) {
	n.mu.Lock()
	defer n.mu.Unlock()

	way := direction{from: from, to: to}
	n.changeLocked(way, func(f *fault) { f.frozen = true })
	n.pipesLocked(way, (*pipe).freezeLocked)
}

// Delay makes everything that one node sends to another from now on arrive that much later. The order
// stays: after a change, nothing overtakes what was sent before. The end of a connection is delayed like
// its bytes. A dial takes the delays of both directions. A connection carries up to 4 MiB per delay. Zero
// or less is no delay. Only another Delay changes it; Heal does not.
func (n *Network) Delay(from, to string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()

	d = max(d, 0)
	way := direction{from: from, to: to}
	n.changeLocked(way, func(f *fault) { f.delay = d })
	n.pipesLocked(way, func(p *pipe) { p.delay = d })
}

// Bandwidth limits how many bytes per second one node can send to another from now on. All connections
// between the two nodes share the limit in that direction, as if they went over one wire: their bytes
// leave in the order of the Writes. The other direction has a limit of its own. Each connection has a
// buffer of 64 KiB in front of the wire, and a Write blocks while that is full. A [Network.Delay] comes
// after the wire and adds to the time. Zero or less is no limit. Only another Bandwidth changes it; Heal
// does not.
//
// The end of a connection and a dial take no bandwidth. A change does not affect bytes that were written
// before it, and nothing overtakes them.
func (n *Network) Bandwidth(from, to string, bytesPerSecond int) {
	n.mu.Lock()
	defer n.mu.Unlock()

	way := direction{from: from, to: to}

	shared := n.faults[way].lane
	if shared == nil {
		shared = &lane{}
	}

	shared.set(max(bytesPerSecond, 0))
	n.changeLocked(way, func(f *fault) { f.lane = shared })
	n.pipesLocked(way, func(p *pipe) { p.lane = shared })
}

// Heal undoes [Network.Cut] and [Network.Freeze] between two nodes, in both directions. Dials work again,
// also those that hang. Frozen bytes arrive at once, or when their delay has passed. A connection that
// was cut stays broken.
func (n *Network) Heal(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()

	way := direction{from: a, to: b}
	for _, w := range []direction{way, way.reverse()} {
		n.changeLocked(w, func(f *fault) { f.cut, f.frozen = false, false })
		n.pipesLocked(w, (*pipe).thawLocked)
	}
}

// RefuseDial makes a node refuse all dials until [Network.AllowDial], as if its listener were gone. Its
// connections stay.
func (n *Network) RefuseDial(to string) {
	n.mu.Lock()
	defer n.mu.Unlock()

	n.refusing[to] = true
	n.changedLocked()
}

// AllowDial undoes [Network.RefuseDial].
func (n *Network) AllowDial(to string) {
	n.mu.Lock()
	defer n.mu.Unlock()

	delete(n.refusing, to)
}

// kill breaks all the connections of a node at once, in one step as Cut does, and refuses the dials
// from it and to it.
func (n *Network) kill(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()

	n.dead[node] = true
	n.resetLocked(func(c *connection) bool {
		way := c.dialled.out.way

		return way.from == node || way.to == node
	})
	n.changedLocked() // The dials of the dead node need not hang any longer.
}

// revive lets a node listen and dial again.
func (n *Network) revive(node string) {
	n.mu.Lock()
	defer n.mu.Unlock()

	delete(n.dead, node)
}

// replace replaces the cut, the freeze and the delay of all ways between a node and others, in both
// directions and in one step.
func (n *Network) replace(node string, others map[string]fault) {
	n.mu.Lock()
	defer n.mu.Unlock()

	for other, wanted := range others {
		way := direction{from: node, to: other}
		for _, w := range []direction{way, way.reverse()} {
			n.changeLocked(w, func(f *fault) { f.cut, f.frozen, f.delay = wanted.cut, wanted.frozen, wanted.delay })
			n.pipesLocked(w, func(p *pipe) { p.applyLocked(wanted) })
		}
	}

	n.resetLocked(func(c *connection) bool {
		way := c.dialled.out.way

		return way.from == node && others[way.to].cut || way.to == node && others[way.from].cut
	})
}

// changeLocked changes what holds for new connections.
func (n *Network) changeLocked(way direction, change func(*fault)) {
	f := n.faults[way]
	change(&f)
	n.faults[way] = f
	n.changedLocked()
}

// pipesLocked changes the pipes of the existing connections in one direction.
func (n *Network) pipesLocked(way direction, change func(*pipe)) {
	for c := range n.connections {
		c.change(way, change)
	}
}

// resetLocked breaks the connections that the condition selects. It holds the locks of all
// of them until all are broken: a node must not use one because it has lost another.
func (n *Network) resetLocked(broken func(*connection) bool) {
	for c := range n.connections {
		if broken(c) {
			c.mu.Lock()
			defer c.mu.Unlock()

			c.resetLocked()
			delete(n.connections, c)
		}
	}
}
