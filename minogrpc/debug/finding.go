package debug

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc"
)

// Kind is what is wrong with a node.
type Kind string

const (
	// Lost is a neighbour whose link is lost or broken.
	Lost Kind = "lost"
	// Silent is a neighbour that has given no sign of life for longer than two heartbeats may take.
	Silent Kind = "silent"
	// Waits is a neighbour for which a packet has waited for a second, or this node, if a packet waits
	// for its handler.
	Waits Kind = "waits"
	// Slow is a neighbour whose round trip is much longer than that of the others.
	Slow Kind = "slow"
	// Cut is a parent without a way up, or this node, if none of its parents has one.
	Cut Kind = "cut"
	// Failed is a destination that was not reached in the last minute.
	Failed Kind = "failed"
	// Full is a node whose memory is almost used up.
	Full Kind = "full"
)

// Finding is a node that stands out, and why.
type Finding struct {
	// Address is the node: a neighbour, a destination, or the node of the snapshot.
	Address string `json:"address"`
	// Dead is set if the node seems to be away. Otherwise it is slow, or overloaded.
	Dead bool `json:"dead,omitempty"`
	// Notes say what is wrong, each kind once, the worst first.
	Notes []Note `json:"notes"`

	// worst is the longest duration that a note speaks of.
	worst time.Duration
}

// Note is one thing that is wrong with a node.
type Note struct {
	Kind Kind `json:"kind"`
	// Text is for a reader. It holds nothing that another node has written.
	Text string `json:"text"`
	// Streams is in how many streams that is so, and zero if it is not about a stream.
	Streams int `json:"streams,omitempty"`

	// worst is the duration that the text speaks of.
	worst time.Duration
}

const (
	// silence is how long a neighbour may be silent: by default it gives a sign of life every third of
	// the bound after which it is lost.
	silence = 2 * session.DefaultLiveness / 5

	// long is how long a packet waits before that is worth a look.
	long = time.Second

	// slowest, in times of the median, is a round trip like that of the others; unless it is shorter than
	// trifle. Without others to compare with, lone is the bound.
	slowest = 3
	trifle  = 50 * time.Millisecond
	lone    = time.Second

	// recent is how old a failure may be.
	recent = time.Minute
)

// Findings returns the nodes that stand out in a snapshot: first those that seem dead, then the slow
// ones, and among each the worst first. It does not need the node, so it also works on a snapshot that
// was read from JSON.
//
// A silent neighbour is found by the heartbeats of [session.DefaultLiveness]. With a shorter bound the
// neighbour is lost before it is found silent; with a bound that is longer than 12 seconds, a quiet
// neighbour may be found silent though it is well.
func Findings(snap minogrpc.Snapshot) []Finding {
	s := search{found: make(map[string]map[Kind]*Note)}
	trips := roundTrips(snap)

	for i := range snap.Streams {
		s.stream(&snap.Streams[i], trips)
	}

	if m := snap.Memory; m.Limit > 0 && m.Used > m.Limit/10*9 {
		s.note(snap.Address, Note{Kind: Full,
			Text: "its memory is almost used up: " + size(m.Used) + " of " + size(m.Limit)})
	}

	return s.sorted()
}

// search is a list of findings that is being made.
type search struct {
	found map[string]map[Kind]*Note
}

// stream looks at one stream.
func (s *search) stream(st *host.Stream, trips []time.Duration) {
	for i := range st.Parents {
		p := &st.Parents[i]
		s.neighbor(p, trips)

		if p.Cut {
			s.note(p.Address, Note{Kind: Cut, Text: "has no way up", Streams: 1})
		}
	}

	for i := range st.Children {
		s.neighbor(&st.Children[i], trips)
	}

	if st.Cut {
		s.note(st.Address, Note{Kind: Cut, Text: "this node has no way up", Streams: 1})
	}

	if q := st.Queue; q.Oldest >= long {
		s.note(st.Address, Note{Kind: Waits, Streams: 1, worst: q.Oldest,
			Text: "the handler has not received " + packets(q.Packets) + ", the oldest for " + span(q.Oldest)})
	}

	for _, f := range st.Failures {
		if f.Ago <= recent {
			// The reason is one of a few. The cause is somebody else's text, and the page shows it elsewhere.
			s.note(f.Destination, Note{Kind: Failed, Streams: 1, worst: recent - f.Ago,
				Text: "a message was not delivered " + span(f.Ago) + " ago: " + reason(f.Reason)})
		}
	}
}

// neighbor looks at a parent or a child.
func (s *search) neighbor(n *session.Neighbor, trips []time.Duration) {
	if n.State == session.NeighborLost || n.State == session.NeighborBroken {
		s.note(n.Address, Note{Kind: Lost, Text: "the link is " + string(n.State), Streams: 1, worst: n.Heard})
	}

	if n.Heard > silence {
		s.note(n.Address, Note{Kind: Silent, Text: "no sign of life for " + span(n.Heard), Streams: 1, worst: n.Heard})
	}

	if n.Waiting.Oldest >= long {
		s.note(n.Address, Note{Kind: Waits, Streams: 1, worst: n.Waiting.Oldest,
			Text: packets(n.Waiting.Packets) + " for it without an outcome, the oldest for " + span(n.Waiting.Oldest)})
	}

	others, known := median(trips, n.RoundTrip)
	text := "round trip " + span(n.RoundTrip)

	switch {
	case n.RoundTrip <= trifle:
	case known && n.RoundTrip > slowest*others:
		s.note(n.Address, Note{Kind: Slow, Text: text + ", others " + span(others), Streams: 1, worst: n.RoundTrip})
	case !known && n.RoundTrip > lone:
		s.note(n.Address, Note{Kind: Slow, Text: text, Streams: 1, worst: n.RoundTrip})
	}
}

// note notes what is wrong with a node. Of each kind it keeps the worst.
func (s *search) note(addr string, n Note) {
	kinds := s.found[addr]
	if kinds == nil {
		kinds = make(map[Kind]*Note)
		s.found[addr] = kinds
	}

	old := kinds[n.Kind]
	if old != nil {
		n.Streams += old.Streams
		if old.worst > n.worst {
			n.Text, n.worst = old.Text, old.worst
		}
	}

	kinds[n.Kind] = &n
}

// order is that of the notes about one node.
var order = []Kind{Lost, Silent, Slow, Waits, Cut, Full, Failed}

// sorted returns the findings, the worst first.
func (s *search) sorted() []Finding {
	list := make([]Finding, 0, len(s.found))

	for _, addr := range slices.Sorted(maps.Keys(s.found)) {
		f := Finding{Address: addr}

		for _, kind := range order {
			n := s.found[addr][kind]
			if n == nil {
				continue
			}

			f.Notes = append(f.Notes, *n)
			f.Dead = f.Dead || kind == Lost || kind == Silent
			// A failure says little about how the node is now.
			if kind != Failed {
				f.worst = max(f.worst, n.worst)
			}
		}

		list = append(list, f)
	}

	slices.SortStableFunc(list, func(a, b Finding) int {
		if a.Dead != b.Dead {
			if a.Dead {
				return -1
			}

			return 1
		}

		return cmp.Or(rank(a)-rank(b), cmp.Compare(b.worst, a.worst))
	})

	return list
}

// rank puts what a node itself is to blame for before what may be the fault of another one: a packet
// also waits at all the nodes above the one that does not answer.
func rank(f Finding) int {
	return slices.Index(order, f.Notes[0].Kind)
}

// roundTrips returns the longest round trip of each neighbour, the shortest of them first.
func roundTrips(snap minogrpc.Snapshot) []time.Duration {
	all := make(map[string]time.Duration)

	for i := range snap.Streams {
		for _, list := range [][]session.Neighbor{snap.Streams[i].Parents, snap.Streams[i].Children} {
			for j := range list {
				if n := &list[j]; n.RoundTrip > 0 {
					all[n.Address] = max(all[n.Address], n.RoundTrip)
				}
			}
		}
	}

	return slices.Sorted(maps.Values(all))
}

// median returns the median of the round trips but one, of the neighbour that is compared with the
// others. It is the lower one of two. There is none without others.
func median(trips []time.Duration, one time.Duration) (d time.Duration, known bool) {
	if len(trips) < 2 {
		return 0, false
	}

	middle := (len(trips) - 2) / 2

	at, _ := slices.BinarySearch(trips, one)
	if at <= middle {
		middle++
	}

	return trips[middle], true
}
