package modeltest_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// place is where a message comes from or goes to: a player, by the number of its
// node, or one of the others below.
type place int

const (
	// orchestrator is who opened the stream. It is on node 0.
	orchestrator place = -1 - iota
	// stranger is a node that takes no part, and nowhere no address at all.
	stranger
	nowhere
)

// String returns the name of the place. Nodes are called n0, n1 and so on.
func (p place) String() string {
	switch p {
	case orchestrator:
		return "orchestrator"
	case stranger:
		return "stranger"
	case nowhere:
		return "nowhere"
	default:
		return fmt.Sprintf("n%d", int(p))
	}
}

// node returns the number of the node that the place is on.
func (p place) node() int {
	return max(int(p), 0)
}

// scenario is one case: who takes part, and what happens, in this order.
type scenario struct {
	// players are the nodes that take part, the root first, and nodes the number of
	// all of them.
	players []place
	nodes   int
	height  int

	// outcome is the deadline of each Send, and queue the bound of each queue in
	// packets, 0 for none to speak of.
	outcome time.Duration
	queue   int

	// unicast are the nodes that do without duplex links, and large tells that there
	// are messages which need several frames.
	unicast []bool
	large   bool

	// existing are the nodes of the existing implementation.
	existing []bool

	// tls tells that the nodes prove who they are, but for the existing ones.
	tls bool

	// news tells that the orchestrator asks for news of the players, which changes nothing else.
	news bool

	tree  tree
	steps []step
}

// step is one thing that happens.
type step struct {
	text string
	do   func(*world)
}

// maxSteps is how many steps a case has at most.
const maxSteps = 40

// action draws a step of one kind.
type action func(*rapid.T, *scenario) step

// drawScenario draws a case. Everything is drawn before anything happens, so that
// the same numbers give the same case, and a shorter list a simpler one. The faults
// are what can happen besides messages.
func drawScenario(t *rapid.T, faults []action) *scenario {
	sc := &scenario{
		height:  rapid.SampledFrom([]int{2, 1, 3}).Draw(t, "height"),
		outcome: rapid.SampledFrom([]time.Duration{30 * time.Second, 3 * time.Second}).Draw(t, "outcome"),
		queue:   rapid.SampledFrom([]int{0, 0, 2}).Draw(t, "queue"),
	}

	// A node has five children before there is a node below them.
	others := rapid.SampledFrom([]int{2, 8, 13, 7, 11, 4, 1, 12}).Draw(t, "players")
	sc.nodes = others + 1

	for i := range others {
		sc.players = append(sc.players, place(i+1))
	}

	// The node of the orchestrator may be a player as well, and even the root.
	switch rapid.SampledFrom([]string{"no", "last", "no", "first"}).Draw(t, "player on the node of the orchestrator") {
	case "last":
		sc.players = append(sc.players, 0)
	case "first":
		sc.players = append([]place{0}, sc.players...)
	}

	sc.tree = newTree(sc.players, sc.height)
	sc.drawLinks(t)
	sc.drawExisting(t)
	sc.tls = rapid.SampledFrom([]bool{false, false, true}).Draw(t, "tls")
	sc.news = rapid.SampledFrom([]bool{false, false, true}).Draw(t, "news")

	// Most of what happens are messages, and time that passes.
	actions := append([]action{drawSend, drawSend, drawSend, drawWait, drawWait, drawPause}, faults...)
	one := rapid.Custom(func(t *rapid.T) step { return rapid.SampledFrom(actions).Draw(t, "action")(t, sc) })
	sc.steps = rapid.SliceOfN(one, 0, maxSteps).Draw(t, "steps")

	// Most of what can go wrong needs a tree that has grown.
	if !rapid.Bool().Draw(t, "nobody has heard of the stream yet") {
		sc.steps = append([]step{send(orchestrator, sc.players, 1, 0, true)}, sc.steps...)
	}

	return sc
}

// drawLinks draws which nodes do without duplex links.
func (sc *scenario) drawLinks(t *rapid.T) {
	sc.unicast = make([]bool, sc.nodes)

	switch rapid.SampledFrom([]string{"duplex", "mixed", "unicast", "duplex"}).Draw(t, "links") {
	case "unicast":
		for i := range sc.unicast {
			sc.unicast[i] = true
		}
	case "mixed":
		for i := range sc.unicast {
			sc.unicast[i] = rapid.Bool().Draw(t, "unicast")
		}
	}
}

// duplex tells whether all the links are duplex.
func (sc *scenario) duplex() bool {
	return !slices.Contains(sc.unicast, true) && !sc.mixed()
}

// GoString is what is printed for a case that has been drawn: nothing, as the
// report has it all.
func (sc *scenario) GoString() string {
	return "as reported"
}

// String describes the case without its steps.
func (sc *scenario) String() string {
	var b strings.Builder

	fmt.Fprintf(&b, "height %d, outcome deadline %v", sc.height, sc.outcome)

	if sc.tls {
		b.WriteString(", with TLS")
	}

	if sc.queue > 0 {
		fmt.Fprintf(&b, ", queues of %d packets", sc.queue)
	}

	for i, unicast := range sc.unicast {
		if unicast {
			fmt.Fprintf(&b, ", n%d unicast", i)
		}
	}

	for i, is := range sc.existing {
		if is {
			fmt.Fprintf(&b, ", n%d existing", i)
		}
	}

	b.WriteString(", the orchestrator is on n0, and the parents are")

	for _, p := range sc.players {
		fmt.Fprintf(&b, " %v<-%v", p, sc.tree[p])
	}

	return b.String()
}

// takesPart tells whether a place is part of the stream, in whatever role.
func (sc *scenario) takesPart(p place) bool {
	return p == orchestrator || slices.Contains(sc.players, p)
}

// anyNode draws a node. The root and the node of the orchestrator are the last
// ones, as they are the least likely: without them little is left to happen.
func anyNode(t *rapid.T, sc *scenario) int {
	var nodes []int
	for i := 2; i < sc.nodes; i++ {
		nodes = append(nodes, i)
	}

	return rapid.SampledFrom(append(nodes, 1, 0)).Draw(t, "node")
}

// anyLink draws two nodes, most often neighbours in the tree.
func anyLink(t *rapid.T, sc *scenario) (a, b int) {
	a = anyNode(t, sc)

	if parent, found := sc.tree[place(a)]; found && rapid.IntRange(0, 3).Draw(t, "link") > 0 {
		b = parent.node()
	} else {
		b = anyNode(t, sc)
	}

	if a == b {
		b = (a + 1) % sc.nodes
	}

	return a, b
}

func drawSend(t *rapid.T, sc *scenario) step {
	everybody := append([]place{orchestrator}, sc.players...)
	from := rapid.SampledFrom(everybody).Draw(t, "from")
	known := rapid.SampledFrom(everybody)

	var to []place

	switch rapid.SampledFrom([]string{"one", "some", "all"}).Draw(t, "to") {
	case "one":
		to = []place{known.Draw(t, "to")}
	case "all":
		to = everybody
	default:
		// Node 0 may or may not be a player. Places may be there twice.
		anybody := rapid.SampledFrom(append([]place{stranger, nowhere, 0}, everybody...))
		to = rapid.SliceOfN(anybody, 0, 6).Draw(t, "to")
	}

	count := rapid.SampledFrom([]int{1, 1, 1, 5, 12}).Draw(t, "count")
	await := rapid.SampledFrom([]bool{false, false, true}).Draw(t, "await")
	size := rapid.SampledFrom([]int{0, 0, 0, 0, 0, largeMessage}).Draw(t, "size")

	if size > 0 {
		sc.large = true
		count = min(count, 2)
	}

	return send(from, to, count, size, await)
}

// largeMessage is the size of a message that needs several frames, in bytes.
const largeMessage = 600 << 10

func send(from place, to []place, count, size int, await bool) step {
	text := fmt.Sprintf("%v sends to %v", from, to)
	if count > 1 {
		text += fmt.Sprintf(", %d times", count)
	}

	if size > 0 {
		text += fmt.Sprintf(", %d bytes", size)
	}

	if await {
		text += ", and awaits the outcomes each time"
	}

	return step{text, func(w *world) {
		for range count {
			w.send(from, to, size, await)
		}
	}}
}

func drawWait(t *rapid.T, _ *scenario) step {
	waits := []time.Duration{0, time.Millisecond, 20 * time.Millisecond,
		60 * time.Millisecond, time.Second, 3500 * time.Millisecond,
		12 * time.Second, 31 * time.Second}
	d := rapid.SampledFrom(waits).Draw(t, "for")

	if d == 0 {
		return step{"wait until nothing moves", func(w *world) { w.quiet() }}
	}

	return step{fmt.Sprintf("wait for %v", d), func(*world) { time.Sleep(d) }}
}

func drawPause(t *rapid.T, sc *scenario) step {
	p := rapid.SampledFrom(append([]place{orchestrator}, sc.players...)).Draw(t, "reader")

	if rapid.Bool().Draw(t, "go on") {
		return step{fmt.Sprintf("%v goes on reading", p), func(w *world) { w.pause(p, false) }}
	}

	return step{fmt.Sprintf("%v stops reading", p), func(w *world) { w.pause(p, true) }}
}
