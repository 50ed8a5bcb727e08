package traffic

import (
	"cmp"
	"slices"
	"time"
)

// hop is a packet on its way from one node to a neighbour. One that was not seen to arrive has no end.
type hop struct {
	from, to     string
	left, came   time.Duration
	arrived      bool
	bytes, dests int
	source       string
}

// mark is something at one node at one moment.
type mark struct {
	at         time.Duration
	node, peer string
	kind       Kind
	text       string
	latency    time.Duration
}

// story is what a picture shows.
type story struct {
	// nodes are in the order in which they were first seen.
	nodes []string
	hops  []hop
	marks []mark
	// end is the time of the last event.
	end     time.Duration
	dropped int
}

// way is what packets keep their order on. Packets that look the same are taken for the same.
type way struct {
	stream, from, to, source string
	bytes                    int
}

// tell makes a story of the events, in which the nodes have the names that the pictures show.
func (r *Record) tell() story {
	events, dropped := r.Events()
	s := story{dropped: dropped}
	known := make(map[string]bool)
	match := matching{story: &s, left: make(map[way][]int), came: make(map[way][]time.Duration)}

	for _, e := range events {
		for _, name := range []*string{&e.Node, &e.Peer, &e.Source} {
			if *name != "" {
				*name = r.names(*name)
			}
		}

		s.end = max(s.end, e.At)

		for _, name := range []string{e.Node, e.Peer} {
			if name != "" && !known[name] {
				known[name] = true
				s.nodes = append(s.nodes, name)
			}
		}

		switch e.Kind {
		case Sent:
			match.sent(e)
		case Received:
			match.received(e)
		case Delivered: // It has been received.
		default:
			s.marks = append(s.marks, mark{
				at: e.At, node: e.Node, peer: e.Peer, kind: e.Kind, text: e.Text, latency: e.Latency,
			})
		}
	}

	slices.SortStableFunc(s.hops, func(a, b hop) int { return cmp.Compare(a.left, b.left) })

	return s
}

// matching finds out which packet that was sent is which that was received.
type matching struct {
	*story

	// left has the places of the hops that have not arrived. came has the times of the packets that have
	// arrived before the sender told that it had sent them.
	left map[way][]int
	came map[way][]time.Duration
}

func (m *matching) sent(e Event) {
	w := way{e.Stream, e.Node, e.Peer, e.Source, e.Bytes}
	h := hop{from: e.Node, to: e.Peer, left: e.At, bytes: e.Bytes, dests: e.Destinations, source: e.Source}

	if early := m.came[w]; len(early) > 0 {
		m.came[w] = early[1:]
		h.left, h.came, h.arrived = early[0], early[0], true
	} else {
		m.left[w] = append(m.left[w], len(m.hops))
	}

	m.hops = append(m.hops, h)
}

func (m *matching) received(e Event) {
	w := way{e.Stream, e.Peer, e.Node, e.Source, e.Bytes}

	waiting := m.left[w]
	if len(waiting) == 0 {
		m.came[w] = append(m.came[w], e.At)

		return
	}

	m.left[w] = waiting[1:]
	m.hops[waiting[0]].came, m.hops[waiting[0]].arrived = e.At, true
}
