package debug

import (
	"context"
	"slices"
	"time"

	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc"
)

// Asker is a [Node] that can ask the nodes below it. [minogrpc.Minogrpc] is one.
type Asker interface {
	Node

	// Descendants may be called from several goroutines at once.
	Descendants(ctx context.Context, snap minogrpc.Snapshot) []minogrpc.Descendants
}

// answers is how long the nodes below may take.
const answers = 2 * time.Second

// WithDescendants makes each request of a snapshot ask the nodes below the node, too, so that the page shows the
// whole tree of each stream. It takes a node that is an [Asker]; the nodes below answer if they were started with
// [minogrpc.WithInspection]. What they say of the nodes below themselves is their word alone.
func WithDescendants() Option {
	return func(c *config) { c.descendants = true }
}

// page returns what is served about a node at this moment.
func (s *server) page(ctx context.Context) Page {
	snap := s.node.Snapshot()
	page := Page{Snapshot: snap}

	asker, ok := s.node.(Asker)
	if s.config.descendants && ok {
		ctx, cancel := context.WithTimeout(ctx, answers)
		defer cancel()

		page.Trees = asker.Descendants(ctx, snap)
	}

	page.StandsOut = Findings(widened(snap, page.Trees))

	return page
}

// widened returns the snapshot with the streams of the nodes below, as if they were its own.
func widened(snap minogrpc.Snapshot, trees []minogrpc.Descendants) minogrpc.Snapshot {
	streams := slices.Clip(snap.Streams)
	for _, tree := range trees {
		streams = widen(streams, tree.Below)
	}

	snap.Streams = streams

	return snap
}

func widen(streams []host.Stream, all []minogrpc.Branch) []host.Stream {
	for _, b := range all {
		if b.Stream != nil {
			// Its parent has said how the link is. A slow node finds its parent slow.
			st := *b.Stream
			st.Parents = nil
			streams = append(streams, st)
		}

		streams = widen(streams, b.Below)
	}

	return streams
}
