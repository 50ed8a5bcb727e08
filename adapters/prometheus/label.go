package prometheus

import "strings"

// namespace begins the name of each metric.
const namespace = "session"

// maxLabel is how many bytes of an address or a procedure become a label.
const maxLabel = 256

// others is the label of the neighbours that have none of their own.
const others = "other"

// label returns a text as a label. Other nodes may have written it, and the client library panics for a
// label that is not UTF-8.
func label(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxLabel)], "\uFFFD")
}

// admit returns the label for a neighbour: its own if there is room among those that are known.
func admit(known map[string]struct{}, name string) string {
	if _, ok := known[name]; ok {
		return name
	}

	if len(known) >= maxNeighbors {
		return others
	}

	known[name] = struct{}{}

	return name
}
