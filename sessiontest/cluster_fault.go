package sessiontest

import "time"

// Isolate cuts a node off from all the others: their connections break at once, new ones are
// refused, and both sides learn of it. The node itself runs on. See [Network.Cut]. It lasts until
// [Nodes.Heal].
func (c *Nodes) Isolate(i int) {
	c.change(i, func(m *member) { m.isolated = true })
}

// Freeze makes a node silent: nothing arrives that it sends to the others or they to it, nor does a
// dial come up, and nobody is told. What was on its way arrives after [Nodes.Heal]. See
// [Network.Freeze].
func (c *Nodes) Freeze(i int) {
	c.change(i, func(m *member) { m.frozen = true })
}

// Slow delays everything between a node and each of the others by d in both directions, in place of
// an earlier delay; between two slow nodes the delays add up. Zero, or less, ends it, and so does
// [Nodes.Heal]. A round trip takes twice d, and so does a dial. So the first answer of a player takes about
// seven times d over a new connection, four times d in a new stream, and twice d later. See [Network.Delay].
func (c *Nodes) Slow(i int, d time.Duration) {
	c.change(i, func(m *member) { m.delay = max(d, 0) })
}

// Heal ends what [Nodes.Isolate], [Nodes.Freeze] and [Nodes.Slow] have done to a node. Between this
// node and another that has a fault of its own, that fault goes on. A killed node stays dead:
// see [Nodes.Restart].
func (c *Nodes) Heal(i int) {
	c.change(i, func(m *member) { m.isolated, m.frozen, m.delay = false, false, 0 })
}

// change changes the faults of a node, and then the ways between it and the others.
func (c *Nodes) change(i int, change func(*member)) {
	c.mu.Lock()
	defer c.mu.Unlock()

	m := c.members[i]
	change(m)

	faults := make(map[string]fault)

	for _, other := range c.members {
		if other != m {
			faults[other.host] = fault{
				cut:    m.isolated || other.isolated,
				frozen: m.frozen || other.frozen,
				delay:  m.delay + other.delay,
			}
		}
	}

	c.network.replace(m.host, faults)
}

// Kill makes a node die as a process does that gets no signal that it could handle: all its
// connections break at once, what was in them is lost, and nothing more leaves the node. Nobody can
// dial it. Kill returns at once. Behind the dead connections the node is then stopped, so that its
// handlers end; the error of that stop is ignored. To kill a dead node does nothing.
func (c *Nodes) Kill(i int) {
	c.kill(i)
}

// kill returns what is closed when the Stop of the dead node has returned.
func (c *Nodes) kill(i int) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()

	m := c.members[i]
	if m.stopped == nil {
		c.network.kill(m.host)

		node, stopped := m.node, make(chan struct{})
		m.stopped = stopped

		go func() { // The clean-up waits for it.
			defer close(stopped)

			_ = node.Stop() // What a dead process would have said.
		}()
	}

	return m.stopped
}

// Restart starts a new node at the address of one, and sets it up as the first: see [WithRPC] and
// [WithSetup]. It kills the node before, unless it is dead, and waits until the dead node has
// stopped: with minogrpc that takes up to two seconds if a handler does not end. It does not heal:
// the new node has the faults of the old one. Like t.FailNow it must be called from the goroutine of
// the test, which ends if the node does not start.
func (c *Nodes) Restart(i int) {
	c.t.Helper()

	<-c.kill(i)
	c.network.revive(c.members[i].host)
	c.start(i)
}
