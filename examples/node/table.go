package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc/debug"
)

// maxName is how many characters of an address are printed.
const maxName = 40

// table returns what is printed about a snapshot. The time is that of the node. The snapshot before it,
// which may be nil, is for the rates.
func table(page, before *debug.Page) string {
	var b strings.Builder

	fmt.Fprintf(&b, "%s  %s  %s, memory %d KiB, %s, connections %d in and %d out\n\nWHAT STANDS OUT\n",
		name(page.Address), page.At.Format(time.TimeOnly),
		screen.Count(len(page.Streams)+page.MoreStreams, "stream"), page.Memory.Used>>10,
		screen.Count(page.Peers, "peer"), page.Accepted, page.Dialled)

	if len(page.StandsOut) == 0 {
		b.WriteString("  nothing\n")
	}

	for _, f := range page.StandsOut {
		mark := "!"
		if f.Dead {
			mark = "✗"
		}

		texts := make([]string, len(f.Notes))
		for i, n := range f.Notes {
			texts[i] = n.Text
		}

		fmt.Fprintf(&b, "%s %s  %s\n", mark, name(f.Address), strings.Join(texts, "; "))
	}

	sent := counters(before)

	for i := range page.Streams {
		writeStream(&b, &page.Streams[i], func(key string, now uint64) float64 {
			then, ok := sent[key]
			if !ok || now < then || !page.At.After(before.At) {
				return 0
			}

			return float64(now-then) / page.At.Sub(before.At).Seconds()
		})
	}

	return b.String()
}

// writeStream writes the rows of a stream.
func writeStream(b *strings.Builder, st *host.Stream, rate func(key string, sent uint64) float64) {
	fmt.Fprintf(b, "\n%s %s, %s", name(st.Procedure), name(st.Stream), name(string(st.Role)))

	if st.Handler != "" {
		fmt.Fprintf(b, ", handler %s", name(string(st.Handler)))
	}

	fmt.Fprintf(b, ", %d to receive\n  %-*s %-10s %10s %8s %8s %8s %8s\n", st.Queue.Packets,
		maxName, "NEIGHBOUR", "STATE", "ROUND TRIP", "WAITING", "OLDEST", "HEARD", "SENT/s")

	for side, n := range neighbors(st) {
		fmt.Fprintf(b, "%s %-*s %-10s %10s %8d %8s %8s %8.1f\n", side, maxName, name(n.Address), name(string(n.State)),
			brief(n.RoundTrip), n.Waiting.Packets, brief(n.Waiting.Oldest), brief(n.Heard),
			rate(key(st, side, n), n.Sent.Packets))
	}
}

// neighbors ranges over the neighbours of a stream with their side: ↑ is a parent, ↓ a child.
func neighbors(st *host.Stream) func(yield func(string, *session.Neighbor) bool) {
	return func(yield func(string, *session.Neighbor) bool) {
		for i := range st.Parents {
			if !yield("↑", &st.Parents[i]) {
				return
			}
		}

		for i := range st.Children {
			if !yield("↓", &st.Children[i]) {
				return
			}
		}
	}
}

// key names a neighbour of one stream.
func key(st *host.Stream, side string, n *session.Neighbor) string {
	return strings.Join([]string{st.Stream, string(st.Role), side, n.Address}, " ")
}

// counters returns how many packets the neighbours had been sent.
func counters(page *debug.Page) map[string]uint64 {
	sent := make(map[string]uint64)

	if page != nil {
		for i := range page.Streams {
			for side, n := range neighbors(&page.Streams[i]) {
				sent[key(&page.Streams[i], side, n)] = n.Sent.Packets
			}
		}
	}

	return sent
}

// name returns a text of at most maxName characters on one line.
func name(text string) string {
	runes := []rune(strings.ReplaceAll(text, "\n", " "))
	if len(runes) > maxName {
		return string(runes[:maxName-1]) + "…"
	}

	return string(runes)
}

// brief returns a duration for a narrow column.
func brief(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(100 * time.Millisecond).String()
	}
}
