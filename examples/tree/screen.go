package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// screen is where the program prints to. It remembers the errors of the writes, so
// that only its end has to look.
type screen struct {
	out io.Writer
	err error

	// terminal tells that a line can be written over.
	terminal bool
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}

	file, ok := out.(*os.File)
	if ok {
		info, err := file.Stat()
		s.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}

	return s
}

func (s *screen) printf(format string, args ...any) {
	_, err := fmt.Fprintf(s.out, format, args...)
	s.err = errors.Join(s.err, err)
}

// progress prints that a reply has come. On a terminal it is one line that
// changes, elsewhere one line each.
func (s *screen) progress(n *node, re *reply, done, all, sum int) {
	if !s.terminal {
		s.printf("  %2d of %d replies: %s counted %d words in %d of the files\n", done, all, n.name, re.Words, re.Files)

		return
	}

	s.printf("\r\x1b[K  %2d of %d replies, %d words", done, all, sum)

	if done == all {
		s.printf("\n")
	}
}

// outcomes draws the tree as the last request has gone through it, with what became
// of the message to each of the nodes, and below it those that were not reached.
func (s *screen) outcomes(nodes []*node, ways *ways, lost failures) {
	root, children := ways.branches(nodes)

	s.printf("\n  %-18s %-26s %s\n", "DESTINATION", "ADDRESS", "OUTCOME")

	if root != nil {
		s.branch(root, children, lost, "", "")
	}

	for _, n := range nodes {
		failure := lost[n]
		if failure != nil {
			s.row("✗ ", n, lost)
			s.printf("    %v says: %v\n", failure.Hop, failure.Cause)
		}
	}

	s.printf("\n")
}

// branch draws a node and those below it.
func (s *screen) branch(n *node, children map[*node][]*node, lost failures, corner, indent string) {
	s.row(corner, n, lost)

	for i, child := range children[n] {
		if i < len(children[n])-1 {
			s.branch(child, children, lost, indent+"├── ", indent+"│   ")
		} else {
			s.branch(child, children, lost, indent+"└── ", indent+"    ")
		}
	}
}

// row prints the outcome of one destination.
func (s *screen) row(mark string, n *node, lost failures) {
	outcome := "delivered"
	if lost[n] != nil {
		outcome = lost[n].Reason.String()
	}

	s.printf("  %-18s %-26v %s\n", mark+n.name, n.addr, outcome)
}
