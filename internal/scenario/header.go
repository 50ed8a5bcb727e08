package scenario

import (
	"regexp"
	"slices"
)

// maxPlayers keeps a scenario small enough for a second.
const maxPlayers = 200

var (
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

	// reserved are the words that could stand where a name does.
	reserved = []string{Orchestrator, "all", "others", "nobody", "nil", "awaited", "settled", "fails", "in"}
)

// header reads what the scenario is played with.
func (p *parser) header(w *words) {
	s := p.scenario

	switch keyword := w.next("a word"); keyword {
	case "mode":
		p.mode(w)
	case "links":
		s.Links = p.links(w)
	case "height":
		s.Height = w.number("the height")
	case "tree":
		p.tree(w)
	case "strangers":
		for len(w.rest) > 0 {
			s.Strangers = append(s.Strangers, p.name(w))
		}
	case "existing":
		p.existing(w)
	case "peer":
		name := p.player(w)
		if slices.Contains(s.Existing, name) {
			w.failf("%q is an existing node already", name)
		}

		s.Peers[name] = oneOf(w, "what a peer does", Mute, Headerless, Ackless, Babbling, Refusing, Absent)
	case "handler":
		names := p.nodes(w)
		does := oneOf(w, "what a handler does", Reads, Echoes, NeverReads, Returns, Fails)

		if slices.Contains(names, Orchestrator) {
			w.failf("the orchestrator has no handler")
		}

		for _, name := range names {
			s.Handlers[name] = does
		}
	case "option":
		p.option(w)
	default:
		w.failf("%q is no part of a scenario", keyword)
	}
}

// existing takes the nodes of the existing implementation.
func (p *parser) existing(w *words) {
	s := p.scenario

	for _, name := range p.nodes(w) {
		_, played := s.Peers[name]
		if played || slices.Contains(s.Existing, name) {
			w.failf("%q is something else already", name)
		}

		s.Existing = append(s.Existing, name)
	}
}

func (p *parser) mode(w *words) {
	switch word := w.next("a mode"); word {
	case string(Plain), string(TLS):
		p.scenario.Modes = []Mode{Mode(word)}
	default:
		w.failf("the mode is plain or tls, not %q; both is what happens without it", word)
	}
}

// links takes the kinds of links up to the end of the line.
func (p *parser) links(w *words) []Links {
	var kinds []Links

	for len(w.rest) > 0 {
		kind := oneOf(w, "the links", Duplex, Unicast, Mixed)

		switch {
		case w.err != nil:
		case slices.Contains(kinds, kind):
			w.failf("%s links are there twice", kind)
		case !slices.Contains(p.scenario.Links, kind):
			w.failf("the scenario is not for %s links", kind)
		}

		kinds = append(kinds, kind)
	}

	if len(kinds) == 0 {
		w.failf("the links are missing")
	}

	return kinds
}

func (p *parser) option(w *words) {
	o := &p.scenario.Options

	switch name := w.next("the name of an option"); name {
	case "setup":
		o.Setup = w.duration("the set-up deadline")
	case "outcome":
		o.Outcome = w.duration("the outcome deadline")
	case "grace":
		o.Grace = w.duration("the adoption grace")
	case "queue":
		o.Queue = w.number("the size of the queue")
	case "outbox":
		o.Outbox = w.number("the size of the outbox")
	default:
		w.failf("%q is no option: there are setup, outcome, grace, queue and outbox", name)
	}
}

// tree reads a drawing such as r(a(b c) d): what stands in parentheses is below
// the name before.
func (p *parser) tree(w *words) {
	s := p.scenario
	depth := 0

	if len(s.Players) > 0 {
		w.failf("there is a tree already")
	}

	for len(w.rest) > 0 {
		switch {
		case w.accept("("):
			depth++
			if len(s.Players) < depth || s.Depths[len(s.Depths)-1] != depth-1 {
				w.failf("a parenthesis must follow the name of a node")
			}
		case w.accept(")"):
			depth--
		default:
			name := p.name(w)
			s.Players = append(s.Players, name)
			s.Depths = append(s.Depths, depth)

			if (depth == 0) != (len(s.Players) == 1) {
				w.failf("the tree must have one root: %q stands beside it", name)
			}
		}

		if depth < 0 {
			w.failf("a parenthesis closes that was not opened")
		}
	}

	switch {
	case w.err != nil:
	case depth > 0:
		w.failf("a parenthesis is not closed")
	case len(s.Players) == 0:
		w.failf("the tree has nobody in it")
	case len(s.Players) > maxPlayers:
		w.failf("the tree has more than %d players", maxPlayers)
	}
}

// name takes a name that is new.
func (p *parser) name(w *words) string {
	name := w.next("a name")

	switch {
	case w.err != nil:
	case !namePattern.MatchString(name):
		w.failf("%q is no name: letters and digits, lower case", name)
	case slices.Contains(reserved, name):
		w.failf("%q means something else", name)
	case p.isNode(name) || slices.Contains(p.scenario.Strangers, name):
		w.failf("%q is there twice", name)
	}

	return name
}
