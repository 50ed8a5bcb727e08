package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/minogrpc/session/mino"
)

// state is what a player is doing.
type state int

const (
	// idle is a player that has not been asked for anything.
	idle state = iota
	// counting is a player that the request has reached.
	counting
	// replied is a player whose reply has come.
	replied
	// leaving is a player that is about to be stopped.
	leaving
	// stopped is a player that has been stopped.
	stopped
	// orphaned is a player that has lost the node above it.
	orphaned
)

// nobody stands for the node above a player that no message has reached, and orchestrator for the one above the root.
const (
	nobody       = -1
	orchestrator = -2
)

// player is what is known of a node.
type player struct {
	name, addr string

	// above is the index of the node above it.
	above int
	state state

	// files is how many it has counted of its share, and words what was in them.
	files, share, words int

	// pace is how long it takes for a file.
	pace time.Duration

	// outcome is that of the last message to it.
	outcome string

	// note is what else is worth knowing.
	note string
}

// board is what is known of all nodes.
type board struct {
	title, news string

	// players are in the order of the nodes.
	players []player

	// files is how many are to be counted by all together.
	files int
}

// row is a player at its place in the tree.
type row struct {
	player

	// branch is what connects it with the one above.
	branch string
}

// begin puts the nodes on the board.
func (b *board) begin(nodes []*node, files int) {
	b.title = fmt.Sprintf("%s count the words of %s.",
		screen.Count(len(nodes), "node"), screen.Count(files, "file"))
	b.files = files
	b.players = make([]player, len(nodes))

	for i, n := range nodes {
		b.players[i] = player{name: n.name, addr: n.addr.String(), above: nobody}
	}
}

// clear forgets what the players have counted.
func (b *board) clear() {
	for i := range b.players {
		p := &b.players[i]
		p.files, p.share, p.words, p.outcome = 0, 0, 0, ""

		if p.state != stopped {
			p.state = idle
		}
	}
}

// ask gives some players their shares of some files, which all of them together take so long for.
func (b *board) ask(indices []int, files int, slow time.Duration) {
	for n, i := range indices {
		p := &b.players[i]
		if p.state == stopped {
			continue
		}

		share := (files + len(indices) - 1 - n) / len(indices)
		p.state, p.share = idle, p.share+share

		// Some take half the time, and some all of it, so that there is something to see.
		p.pace = slow * time.Duration(8+(5*i)%9) / 16 / time.Duration(max(share, 1))
	}
}

// reach notes that the request has come to a player from the one above it.
func (b *board) reach(i, above int) {
	b.players[i].above = above

	if b.players[i].state == idle {
		b.players[i].state = counting
	}
}

// stop notes that a player is gone.
func (b *board) stop(i int) {
	b.players[i].state, b.players[i].note = stopped, "stopped"
}

// lose notes that a player has lost a neighbour, which matters if that was the one above it.
func (b *board) lose(i, neighbour int) {
	if p := &b.players[i]; neighbour >= 0 && p.above == neighbour && p.state != stopped {
		p.state, p.note = orphaned, "has lost "+b.players[neighbour].name
	}
}

// regain notes that a player can reach a neighbour again.
func (b *board) regain(i, neighbour int) {
	p := &b.players[i]
	if p.above != neighbour || p.state != orphaned {
		return
	}

	p.state, p.note = counting, ""
	if p.files == p.share {
		p.state = replied
	}
}

// adopt notes that those below a player that is gone have been adopted by the one above it.
func (b *board) adopt(i, above int, below []int) {
	b.players[i].above = nobody

	for _, child := range below {
		b.players[child].above = above
		b.players[child].state, b.players[child].note = replied, "adopted by "+b.players[above].name
	}
}

// at returns the place of the node at an address.
func (b *board) at(addr mino.Address) int {
	if isOrchestrator(addr) {
		return orchestrator
	}

	text := session.FollowerOf(addr).String()

	return slices.IndexFunc(b.players, func(p player) bool { return p.addr == text }) // -1 is nobody
}

// label is what stands in the column of the nodes.
func (r row) label() string { return r.branch + r.name }

// rows returns the tree, each node with those below it, and then those that are in none.
func (b *board) rows() []row {
	below := make(map[int][]int)

	for i, p := range b.players {
		below[p.above] = append(below[p.above], i)
	}

	rows := make([]row, 0, len(b.players))

	var draw func(i int, corner, indent string)

	draw = func(i int, corner, indent string) {
		rows = append(rows, row{b.players[i], corner})

		for _, child := range below[i] {
			if child != last(below[i]) {
				draw(child, indent+"├── ", indent+"│   ")
			} else {
				draw(child, indent+"└── ", indent+"    ")
			}
		}
	}

	for _, i := range slices.Concat(below[orchestrator], below[nobody]) {
		draw(i, "", "")
	}

	return rows
}

func last(indices []int) int { return indices[len(indices)-1] }

// below returns the players below a node, in their order.
func (b *board) below(i int) []int {
	var below []int

	for child, p := range b.players {
		if p.above == i {
			below = append(below, child)
		}
	}

	return below
}

// middle returns the player below the root that most others hang on, the first of several. In a tree without a
// middle it is the last player.
func (b *board) middle() int {
	found, most := len(b.players)-1, 0

	for i, p := range b.players {
		if n := len(b.below(i)); p.above >= 0 && n > most {
			found, most = i, n
		}
	}

	return found
}

// names returns the names of some players, as a sentence has them.
func (b *board) names(indices []int) string {
	names := make([]string, len(indices))
	for i, index := range indices {
		names[i] = b.players[index].name
	}

	return list(names)
}

// list joins names as a sentence does.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}

	end := len(names) - 1

	return strings.Join(names[:end], ", ") + " and " + names[end]
}

// counted returns how many files all players have counted, and how many words were in them.
func (b *board) counted() (files, words int) {
	for _, p := range b.players {
		files += p.files
		words += p.words
	}

	return files, words
}
