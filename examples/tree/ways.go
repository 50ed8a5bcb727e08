package main

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/traffic"
)

// ways notes which way the messages of the orchestrator take, so that the tree is
// drawn as it was and not as it should be. The observers of all the nodes write to
// it.
type ways struct {
	mu sync.Mutex

	// orchestrator is the sender of what counts here.
	orchestrator mino.Address

	// from has the neighbour that each node, by its index, got the last message from.
	from map[int]mino.Address

	// record has all that the nodes have done.
	record *traffic.Record
}

func newWays() *ways {
	return &ways{record: traffic.NewRecord()}
}

// draw writes a timeline to a file, if there is a name for it.
func (w *ways) draw(name string) error {
	if name == "" {
		return nil
	}

	file, err := os.Create(name) //nolint:gosec // The user of the command chooses the file.
	if err != nil {
		return fmt.Errorf("picture: %w", err)
	}

	return errors.Join(w.record.WriteSVG(file), file.Close())
}

// begin forgets what was noted, and waits for a message of the orchestrator.
func (w *ways) begin(orchestrator mino.Address) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.orchestrator = orchestrator
	w.from = make(map[int]mino.Address)
}

// observer returns the observer for the sessions of the node with that index.
func (w *ways) observer(index int) session.Observer {
	return session.Observer{
		PacketReceived: func(_ session.StreamInfo, from mino.Address, info session.PacketInfo) {
			w.mu.Lock()
			defer w.mu.Unlock()

			if info.Source.Equal(w.orchestrator) {
				w.from[index] = from
			}
		},
	}
}

// branches returns the root and the children of each node, in the order of the
// nodes. There is no root before the first message.
func (w *ways) branches(nodes []*node) (root *node, children map[*node][]*node) {
	w.mu.Lock()
	defer w.mu.Unlock()

	children = make(map[*node][]*node)

	for i, n := range nodes {
		switch from := w.from[i]; {
		case from == nil:
		case from.Equal(w.orchestrator):
			root = n
		default:
			parent := find(nodes, from)
			children[parent] = append(children[parent], n)
		}
	}

	return root, children
}

// middle returns the node below the root that most others hang on, the first of
// several, or nil when there is none.
func (w *ways) middle(nodes []*node) *node {
	root, children := w.branches(nodes)

	var found *node

	for _, n := range nodes {
		if n != root && len(children[n]) > len(children[found]) {
			found = n
		}
	}

	return found
}
