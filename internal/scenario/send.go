package scenario

import (
	"slices"
	"strconv"
	"strings"

	"github.com/minogrpc/session"
)

// send reads a send and makes its clauses those of the indented lines that follow.
func (p *parser) send(line int, w *words) Action {
	s := &Send{Times: 1, From: Orchestrator, Want: make(map[string]Outcome), Settled: anytime}

	if !w.accept("nil") {
		s.Message = p.message(line, w)
	}

	if _, err := strconv.Atoi(w.peek()); err == nil {
		s.Times = w.number("the number of messages")
		w.expect("times")
	}

	if w.accept("of") {
		s.Size = w.number("the size in KiB") << 10
		w.expect("KiB")
	}

	if w.accept("from") {
		s.From = p.living(w)
	}

	w.expect("to")

	s.To = p.destinations(w)
	s.Awaited = w.accept("awaited")

	var others *Outcome

	p.clause = func(w *words) { p.sendClause(w, s, &others) }
	p.finish = func() error {
		for _, dest := range s.To {
			if _, ok := s.Want[dest]; !ok && others != nil {
				s.Want[dest] = *others
			} else if !ok {
				s.Want[dest] = Outcome{Reasons: []session.Reason{Delivered}, Window: anytime}
			}
		}

		return nil
	}

	return s
}

// message takes the name of a message, which must be new: the runner tells
// messages apart by it.
func (p *parser) message(line int, w *words) string {
	name := w.next("the name of the message")

	switch before, twice := p.messages[name]; {
	case w.err != nil:
	case !isMessage(name):
		w.failf("%q is no name of a message: letters, digits and dashes, lower case", name)
	case twice:
		w.failf("message %q is sent in line %d already", name, before)
	}

	p.messages[name] = line

	return name
}

// destinations takes the names that a message is sent to: nodes, strangers, and nil
// for a nil address. An address that is named twice is sent to twice.
func (p *parser) destinations(w *words) []string {
	var to []string

	for len(w.rest) > 0 && w.peek() != "awaited" {
		switch name := w.peek(); {
		case w.accept("all"):
			to = append(to, p.scenario.Players...)
		case w.accept("nil"):
			to = append(to, "")
		case slices.Contains(p.scenario.Strangers, name):
			to = append(to, w.next("a stranger"))
		default:
			to = append(to, p.node(w))
		}
	}

	if len(to) == 0 {
		w.failf("the destination is missing")
	}

	return to
}

// sendClause reads what is expected of some destinations.
func (p *parser) sendClause(w *words, s *Send, others **Outcome) {
	if w.accept("settled :") {
		p.bound(w, &s.Settled)
		p.window(w, &s.Settled)

		return
	}

	names := p.expected(w, s)
	o := Outcome{Reasons: []session.Reason{p.reason(w)}, Window: anytime}

	for w.accept("or") {
		o.Reasons = append(o.Reasons, p.reason(w))
	}

	for w.accept(",") {
		if w.accept("told by") {
			o.Hop = p.node(w)
		} else {
			p.bound(w, &o.Window)
		}
	}

	if o.Hop != "" && slices.Contains(o.Reasons, Delivered) {
		w.failf("nobody tells what has been delivered")
	}

	if names == nil {
		*others = &o
	}

	for _, name := range names {
		s.Want[name] = o
	}
}

// expected takes the destinations that a clause is about, up to the colon. It
// returns nil for the others.
func (p *parser) expected(w *words, s *Send) []string {
	var names []string

	for w.err == nil && !w.accept(":") {
		name := w.next("a colon")

		switch {
		case name == "others" && names == nil:
			w.expect(":")

			return nil
		case name == "all" && names == nil:
			names = slices.Clone(s.To)
		case name == "nil" && slices.Contains(s.To, ""):
			names = append(names, "")
		case !slices.Contains(s.To, name):
			w.failf("%q is no destination: there are %s", name, strings.Join(s.To, " "))
		default:
			names = append(names, name)
		}
	}

	for _, name := range names {
		if _, twice := s.Want[name]; twice {
			w.failf("something else is expected of %q already", name)
		}
	}

	return names
}

// reason takes what becomes of a destination.
func (p *parser) reason(w *words) session.Reason {
	if w.accept("delivered") {
		return Delivered
	}

	for r := session.ReasonNoRoute; r <= session.ReasonRejected; r++ {
		if w.accept(r.String()) {
			return r
		}
	}

	w.failf("an outcome is delivered, or a reason such as timeout, not %q", w.shown())

	return Delivered
}
