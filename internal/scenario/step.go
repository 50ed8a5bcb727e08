package scenario

import (
	"strings"
	"time"
)

// step reads a statement after its "at".
func (p *parser) step(line int, w *words) {
	s := p.scenario
	at := w.duration("the time")

	if len(s.Players) == 0 {
		w.failf("the tree must stand before the first step")
	}

	if n := len(s.Steps); n > 0 && at < s.Steps[n-1].At {
		w.failf("%v is before the last step, at %v", at, s.Steps[n-1].At)
	}

	s.Steps = append(s.Steps, Step{Line: line, At: at, Action: p.action(line, at, w)})
}

func (p *parser) action(line int, at time.Duration, w *words) Action {
	switch keyword := w.next("what happens"); keyword {
	case "open":
		return p.open()
	case "cancel":
		return Cancel{}
	case "send":
		return p.send(line, w)
	case string(Cut), string(Freeze), string(Lose), string(Delay), string(Heal), string(Refuse), string(Allow):
		return p.fault(Kind(keyword), w)
	case string(Stop), string(Crash), string(Start):
		return Life{Event: Event(keyword), Node: p.living(w)}
	case "expect":
		return p.expect(at, w)
	default:
		w.failf("nobody knows how to %q", keyword)

		return nil
	}
}

// living takes the name of a node of this library.
func (p *parser) living(w *words) string {
	name := p.node(w)
	if does, ok := p.scenario.Peers[name]; ok {
		w.failf("%q is a peer that %s", name, does)
	}

	return name
}

// open makes the indented lines that follow those of the open.
func (p *parser) open() Action {
	open := &Open{Window: anytime}

	p.clause = func(w *words) {
		w.expect("fails :")

		open.Fails = w.quoted("what the error says")
		p.window(w, &open.Window)
	}

	return open
}

func (p *parser) fault(kind Kind, w *words) Action {
	f := Fault{Kind: kind}

	switch kind {
	case Refuse, Allow:
		w.expect("dials to")

		f.A = p.node(w)
	case Lose:
		f.A = p.node(w)
		w.expect("to")

		f.B = p.node(w)
	case Cut:
		p.ends(w, &f, "from")
	case Freeze, Delay, Heal:
		p.ends(w, &f, "and")
	}

	if kind == Delay {
		f.Delay = w.duration("the delay")
	}

	if f.A == f.B && f.A != "" {
		w.failf("%q has no link to itself", f.A)
	}

	return f
}

// ends takes the ends of a fault: two nodes, one, or all.
func (p *parser) ends(w *words, f *Fault, between string) {
	if w.accept("all") {
		return
	}

	f.A = p.node(w)

	if w.accept(between) {
		f.B = p.node(w)
	}
}

// expect reads what is checked at a moment.
func (p *parser) expect(now time.Duration, w *words) Action {
	switch {
	case w.accept("handlers of"):
		return ExpectHandlers{Nodes: p.nodesOrNobody(w)}
	case w.accept("lost"):
		return ExpectLost{Nodes: p.nodesOrNobody(w)}
	case w.accept("broken"):
		return ExpectBroken{Nodes: p.nodesOrNobody(w)}
	case w.accept("end cleanly"):
		return ExpectEnd{}
	case w.accept("end"):
		return ExpectEnd{Text: w.quoted("what the error says")}
	case w.accept("no packets since"):
		since := w.duration("the time")
		if since >= now {
			w.failf("%v is not in the past", since)
		}

		return ExpectQuiet{Since: since}
	case w.accept("fewer than"):
		fewer := w.number("the number of goroutines")
		w.expect("goroutines")

		return ExpectGoroutines{Fewer: fewer}
	}

	names := p.nodes(w)

	if len(names) == 1 && w.accept("lost") {
		return ExpectLost{By: names[0], Nodes: p.nodesOrNobody(w)}
	}

	if len(names) == 1 && w.accept("broken") {
		return ExpectBroken{By: names[0], Nodes: p.nodesOrNobody(w)}
	}

	w.expect("received")

	if w.accept("nothing") {
		return ExpectReceived{Nodes: names}
	}

	return ExpectReceived{Nodes: names, Count: w.number("the number of messages")}
}

// anytime is the window of what is expected at any time.
var anytime = Window{Within: -1}

// window reads the clauses about the time of an outcome: ", within 3s, after 1s".
func (p *parser) window(w *words, window *Window) {
	for w.accept(",") {
		p.bound(w, window)
	}
}

// bound reads one of them.
func (p *parser) bound(w *words, window *Window) {
	switch {
	case w.accept("within"):
		window.Within = w.duration("the time")
	case w.accept("after"):
		window.After = w.duration("the time")
	default:
		w.failf("%q is expected instead of %q", "within or after", w.shown())
	}

	if window.Within >= 0 && window.Within < window.After {
		w.failf("nothing is after %v and within %v", window.After, window.Within)
	}
}

// isMessage tells whether a word can name a message.
func isMessage(word string) bool {
	return namePattern.MatchString(strings.ReplaceAll(word, "-", ""))
}
