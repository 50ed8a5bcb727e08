package main

import (
	"fmt"
	"strings"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/minogrpc/session/examples/internal/words"
	"github.com/minogrpc/session/mino"
)

// Asking implements words.Watcher.
func (d *demo) Asking(players []mino.Address, files int) {
	d.ways.begin(session.NewOrchestratorAddress(d.players[0]))
	d.screen.Printf("Asking %s for their shares of %s:\n",
		screen.Count(len(players), "node"), screen.Count(files, "file"))
}

// Counted implements words.Watcher.
func (d *demo) Counted(player mino.Address, re words.Reply, done, all, sum int) {
	name, words := find(d.nodes, player).name, screen.Count(re.Words, "word")

	d.screen.Progress(done, all, screen.Count(sum, "word"),
		fmt.Sprintf("%s counted %s in %d of the files", name, words, re.Files))
}

// Waiting implements words.Watcher.
func (d *demo) Waiting(players []mino.Address) {
	names := make([]string, len(players))
	for i, player := range players {
		names[i] = find(d.nodes, player).name
	}

	d.screen.Printf("  waiting for %s\n", strings.Join(names, ", "))
}

// Outcomes implements words.Watcher: it draws the tree as the last request has gone
// through it, with what became of the message to each of the nodes, and below it those
// that were not reached.
func (d *demo) Outcomes(lost words.Lost) {
	root, children := d.ways.branches(d.nodes)

	d.screen.Printf("\n  %-18s %-26s %s\n", "DESTINATION", "ADDRESS", "OUTCOME")

	if root != nil {
		d.branch(root, children, lost, "", "")
	}

	for _, n := range d.nodes {
		failure := lost[n.addr]
		if failure != nil {
			d.row("✗ ", n, lost)
			d.screen.Printf("    %v says: %v\n", failure.Hop, failure.Cause)
		}
	}

	d.screen.Printf("\n")
}

// branch draws a node and those below it.
func (d *demo) branch(n *node, children map[*node][]*node, lost words.Lost, corner, indent string) {
	d.row(corner, n, lost)

	for i, child := range children[n] {
		if i < len(children[n])-1 {
			d.branch(child, children, lost, indent+"├── ", indent+"│   ")
		} else {
			d.branch(child, children, lost, indent+"└── ", indent+"    ")
		}
	}
}

// row prints the outcome of one destination.
func (d *demo) row(mark string, n *node, lost words.Lost) {
	outcome := "delivered"
	if lost[n.addr] != nil {
		outcome = lost[n.addr].Reason.String()
	}

	d.screen.Printf("  %-18s %-26v %s\n", mark+n.name, n.addr, outcome)
}
