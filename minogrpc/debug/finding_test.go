package debug_test

import (
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/debug"
	"github.com/stretchr/testify/require"
)

// stream returns a snapshot with one stream, which has these children.
func stream(children ...session.Neighbor) minogrpc.Snapshot {
	var snap minogrpc.Snapshot

	snap.Address = "me"
	snap.Streams = []host.Stream{{Role: host.StreamRoot}}
	snap.Streams[0].Address = "me"
	snap.Streams[0].Children = children

	return snap
}

// well returns a child that answers in that time.
func well(addr string, trip time.Duration) session.Neighbor {
	return session.Neighbor{
		Address: addr, State: session.NeighborOpen, Duplex: true, Heard: 3 * time.Second, RoundTrip: trip,
	}
}

// with returns a child that is changed.
func with(change func(n *session.Neighbor)) session.Neighbor {
	n := well("x", time.Millisecond)
	change(&n)

	return n
}

func TestFindings_WhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		child session.Neighbor
		want  []debug.Kind
		dead  bool
		text  string
	}{
		"well":       {child: well("x", time.Millisecond)},
		"connecting": {child: with(func(n *session.Neighbor) { n.State = session.NeighborConnecting })},
		"lost": {with(func(n *session.Neighbor) { n.State, n.Heard = session.NeighborLost, 0 }),
			[]debug.Kind{debug.Lost}, true, "the link is lost"},
		"broken": {with(func(n *session.Neighbor) { n.State = session.NeighborBroken }),
			[]debug.Kind{debug.Lost}, true, "the link is broken"},
		"silent": {with(func(n *session.Neighbor) { n.Heard = 4210 * time.Millisecond }),
			[]debug.Kind{debug.Silent}, true, "no sign of life for 4.2s"},
		"quick": {child: with(func(n *session.Neighbor) { n.RoundTrip = 50 * time.Millisecond })},
		"slow": {with(func(n *session.Neighbor) { n.RoundTrip = 601 * time.Millisecond }),
			[]debug.Kind{debug.Slow}, false, "round trip 601ms, others 2ms"},
		"waits": {with(func(n *session.Neighbor) { n.Waiting = session.Backlog{Packets: 1, Oldest: time.Second} }),
			[]debug.Kind{debug.Waits}, false, "1 packet for it without an outcome, the oldest for 1s"},
		"both": {with(func(n *session.Neighbor) { n.Waiting.Oldest, n.Heard = 5*time.Second, 5*time.Second }),
			[]debug.Kind{debug.Silent, debug.Waits}, true, "no sign of life for 5s"},
	} {
		t.Run(name, func(t *testing.T) {
			found := debug.Findings(stream(well("a", time.Millisecond), well("b", 2*time.Millisecond),
				well("c", 3*time.Millisecond), test.child))

			if test.want == nil {
				require.Empty(t, found)

				return
			}

			require.Len(t, found, 1)
			require.Equal(t, "x", found[0].Address)
			require.Equal(t, test.dead, found[0].Dead)
			require.Equal(t, test.text, found[0].Notes[0].Text)
			require.Equal(t, test.want, kinds(found[0]))
		})
	}
}

// kinds returns what is wrong with a node.
func kinds(f debug.Finding) (list []debug.Kind) {
	for _, n := range f.Notes {
		list = append(list, n.Kind)
	}

	return list
}

// names returns who stands out.
func names(found []debug.Finding) []string {
	list := make([]string, len(found))
	for i, f := range found {
		list[i] = f.Address
	}

	return list
}

// A network that is slow everywhere has no slow node.
func TestFindings_RoundTripIsComparedWithTheOthers(t *testing.T) {
	const far = 300 * time.Millisecond

	for name, test := range map[string]struct {
		trips []time.Duration
		slow  []string
	}{
		"all far":    {[]time.Duration{far, far, far}, []string{}},
		"one of two": {[]time.Duration{far, time.Millisecond}, []string{"a"}},
		"two of four": {[]time.Duration{far, time.Millisecond, far, time.Millisecond},
			[]string{"a", "c"}},
		"alone":          {[]time.Duration{far}, []string{}},
		"alone and slow": {[]time.Duration{4 * far}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			children := make([]session.Neighbor, 0, len(test.trips))
			for i, trip := range test.trips {
				children = append(children, well(string(rune('a'+i)), trip))
			}

			require.Equal(t, test.slow, names(debug.Findings(stream(children...))))
		})
	}
}

// The reader sees the dead first, then the slow, then those for which something waits: a packet also
// waits at all the nodes above the one that does not answer.
func TestFindings_WorstFirst(t *testing.T) {
	waits := func(n *session.Neighbor) { n.Waiting.Oldest = 8 * time.Second }
	above, silent, longer := with(waits), with(waits), with(waits)
	above.Address, silent.Address, longer.Address = "above", "silent", "longer"
	silent.Heard, longer.Heard = 5*time.Second, 9*time.Second

	snap := stream(well("ok", time.Millisecond), well("slow", time.Second), above, silent, longer)
	snap.Memory = session.MemoryUsage{Used: 95, Limit: 100}
	snap.Streams[0].Queue = session.Backlog{Packets: 2, Oldest: 2 * time.Second}
	snap.Streams[0].Failures = []session.Failure{
		{Ago: time.Second, Destination: "leaf", Reason: session.ReasonUnreachable.String()},
		{Ago: time.Hour, Destination: "other", Reason: session.ReasonUnreachable.String()},
	}
	snap.Streams = append(snap.Streams, snap.Streams[0])

	require.Equal(t, []string{"longer", "silent", "slow", "above", "me", "leaf"}, names(debug.Findings(snap)))
	require.Equal(t, 2, debug.Findings(snap)[0].Notes[0].Streams)
}
