package sessiontest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/minogrpc/session/mino"
)

// Nodes are the nodes of a [Cluster]: n of them, with the indices 0 to n-1. A method panics for
// another index, as a slice does. All methods but [Nodes.Restart] may be called from several
// goroutines at once.
type Nodes struct {
	t       testing.TB
	config  *clusterConfig
	network *Network

	mu      sync.Mutex
	members []*member
}

// member is one of the nodes. The lock of the nodes guards what can change.
type member struct {
	// host is where the node listens, in the form host:port. It never changes.
	host string

	// node is the one that runs, or that was killed last. It is nil before the first start.
	node Node
	rpcs map[string]mino.RPC

	// stopped is nil while the node runs. It is closed when the Stop of a killed node has returned.
	stopped chan struct{}

	// What is wrong with the ways between the node and all the others.
	isolated, frozen bool
	delay            time.Duration
}

// Cluster starts n nodes on a new [Network] and stops them when the test ends, after the context of
// the test has ended. The nodes are those of minogrpc without TLS, with the tree router; [WithNodes]
// chooses another overlay. The test fails at once if a node does not start, and at its end if a node
// does not stop without an error.
//
//	c := sessiontest.Cluster(t, 7, sessiontest.WithRPC("vote", handler, factory))
//	out, in, err := c.RPC(0, "vote").Stream(t.Context(), c.Players())
//	c.Kill(5) // and see what your protocol makes of it
//
// It works inside a bubble of testing/synctest, given the t of the bubble, and outside. Call it and
// [Nodes.Restart] from the goroutine of the test. A stream that the test opens should end with
// t.Context(), or by its own context before the test ends.
func Cluster(t testing.TB, n int, opts ...ClusterOption) *Nodes {
	t.Helper()

	c := &Nodes{t: t, config: newClusterConfig(opts), network: NewNetwork()}
	for i := range n {
		c.members = append(c.members, &member{host: fmt.Sprintf("n%d:1", i)})
	}

	t.Cleanup(c.stop)

	for i := range n {
		c.start(i)
	}

	return c
}

// Len returns the number of the nodes, the killed ones included.
func (c *Nodes) Len() int {
	return len(c.members)
}

// Node returns a node. After [Nodes.Restart] it is a new one; a killed one has been stopped. The test
// may stop it, as an operator does who takes a node out; see [Nodes.Kill] for a node that dies.
func (c *Nodes) Node(i int) Node {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.members[i].node
}

// RPC returns the procedure that [WithRPC] has created on a node. Without such a procedure the test
// fails at once.
func (c *Nodes) RPC(i int, name string) mino.RPC {
	c.t.Helper()

	c.mu.Lock()
	rpc := c.members[i].rpcs[name]
	c.mu.Unlock()

	if rpc == nil {
		c.t.Fatalf("node %d has no procedure %q: WithRPC creates one", i, name)
	}

	return rpc
}

// Address returns the address of a node, which it keeps when it is restarted.
func (c *Nodes) Address(i int) mino.Address {
	return c.Node(i).GetAddress()
}

// Addresses returns the addresses of all the nodes, by index.
func (c *Nodes) Addresses() []mino.Address {
	addrs := make([]mino.Address, c.Len())
	for i := range addrs {
		addrs[i] = c.Address(i)
	}

	return addrs
}

// Players returns all the nodes as players, by index. The first is the root of a stream to them.
func (c *Nodes) Players() mino.Players {
	return mino.NewAddresses(c.Addresses()...)
}

// Network returns the network of the nodes, for faults between two of them. There node i is known as
// "n" and i and ":1", such as n0:1. A fault of a node, and [Nodes.Heal], replace what the test has
// set on the network for a cut, a freeze or a delay between this node and the others.
func (c *Nodes) Network() *Network {
	return c.network
}

// start starts a node at its address.
func (c *Nodes) start(i int) {
	c.t.Helper()

	m := c.members[i]

	listener, err := c.network.Listen(m.host)
	if err != nil {
		c.t.Fatalf("start node %d: %v", i, err)
	}

	node, err := c.config.node(Place{
		Index: i, Host: m.host, Listener: listener, Dial: c.network.Dialer(m.host),
	})
	if err != nil {
		_ = listener.Close() // The node may have done so.
		c.t.Fatalf("start node %d: %v", i, err)
	}

	c.mu.Lock()
	m.node, m.rpcs, m.stopped = node, make(map[string]mino.RPC), nil
	c.mu.Unlock()

	c.setUp(i, m)
}

// setUp creates the procedures of a node.
func (c *Nodes) setUp(i int, m *member) {
	c.t.Helper()

	for _, p := range c.config.procedures {
		rpc, err := m.node.CreateRPC(p.name, p.handler, p.factory)
		if err != nil {
			c.t.Fatalf("create procedure %q of node %d: %v", p.name, i, err)
		}

		c.mu.Lock()
		m.rpcs[p.name] = rpc
		c.mu.Unlock()
	}

	for _, setup := range c.config.setups {
		err := setup(i, m.node)
		if err != nil {
			c.t.Fatalf("set up node %d: %v", i, err)
		}
	}
}

// stop stops the nodes at the end of the test, all at once: out of a bubble that takes real time.
func (c *Nodes) stop() {
	var group sync.WaitGroup

	for i, m := range c.members {
		group.Go(func() { c.stopOne(i, m) })
	}

	group.Wait()
	c.network.Close()
}

func (c *Nodes) stopOne(i int, m *member) {
	c.mu.Lock()
	node, stopped := m.node, m.stopped
	c.mu.Unlock()

	switch {
	case node == nil:
	case stopped != nil:
		<-stopped
	default:
		err := node.Stop()
		if err != nil {
			c.t.Errorf("stop node %d: %v", i, err)
		}
	}
}
