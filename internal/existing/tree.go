package existing

import (
	"slices"
	"sync"
)

// Unknown is how the words about a destination end that the root does not know.
const Unknown = "unknown destination"

const (
	// defaultHeight is that of the tree of a root.
	defaultHeight = 3

	// minBranches is how many children a node has at least, where it has that many players.
	minBranches = 5

	// minHeight is the lowest that an existing node announces.
	minHeight = -1
)

// table is what one node knows of the tree: the players below it and by which child each is
// reached. A session has a table for each of its parents.
type table struct {
	height int

	// orchestrator is set at the root only, which alone knows who is not a player.
	orchestrator Address

	// bounces makes a root send to the orchestrator what it does not know.
	bounces bool

	mu sync.Mutex
	// gateways has the child by which each player is reached, and behind the players that
	// a child has to look after.
	gateways map[Address]Address
	behind   map[Address][]Address
	// dead are the players that could not be reached, and why.
	dead map[Address]string
}

// newTable returns the table of a node with those players below it. A player that is named
// twice counts once.
func newTable(height int, me Address, players []Address) *table {
	t := &table{
		height:   height,
		gateways: make(map[Address]Address),
		behind:   make(map[Address][]Address),
		dead:     make(map[Address]string),
	}

	var once []Address

	for _, player := range players {
		if player != me && !slices.Contains(once, player) {
			once = append(once, player)
		}
	}

	t.assignLocked(once)

	return t
}

// assignLocked divides players among children. The first of each part is the child. The
// caller holds mu, or is the only one who has the table.
func (t *table) assignLocked(players []Address) {
	n := len(players)
	b := min(branches(t.height, n), n)

	for i := range b {
		part := players[i*n/b : (i+1)*n/b]
		for _, player := range part {
			t.gateways[player] = part[0]
		}

		t.behind[part[0]] = slices.Clone(part[1:])
	}
}

// branches returns the smallest number of children, from minBranches up, with which a tree
// of that height has room for n players.
func branches(height, n int) int {
	for b := minBranches; ; b++ {
		room, level := 0, 1

		for range max(height, 1) {
			level *= b
			room += level

			if room >= n {
				return b
			}
		}
	}
}

// handshakeFor returns what a child is told. A leaf gets the height 0, and a child below a
// table that had none left gets -1, as existing parents send both.
func (t *table) handshakeFor(child Address) handshake {
	t.mu.Lock()
	defer t.mu.Unlock()

	return newHandshake(max(t.height-1, minHeight), t.behind[child])
}

// forward returns where to send a packet for those destinations, by child. The empty child
// is the parent. Voids are the destinations that cannot be reached, and why.
func (t *table) forward(to []Address) (routes map[Address][]Address, voids map[Address]string) {
	t.mu.Lock()
	defer t.mu.Unlock()

	routes, voids = make(map[Address][]Address), make(map[Address]string)

	for _, dest := range to {
		child, below := t.gateways[dest]
		reason, dead := t.dead[dest]

		switch {
		case dead:
			voids[dest] = reason
		case below:
			routes[child] = append(routes[child], dest)
		case t.orchestrator == "", dest == t.orchestrator, t.bounces:
			routes[""] = append(routes[""], dest)
		default:
			voids[dest] = Unknown
		}
	}

	return routes, voids
}

// fail takes a child out of the tree and gives what was behind it to others.
func (t *table) fail(child Address, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()

	if t.gateways[child] != child {
		return // another packet has found out before
	}

	orphans := t.behind[child]
	delete(t.gateways, child)
	delete(t.behind, child)
	t.dead[child] = reason

	t.assignLocked(orphans)
}
