package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Parse reads a scenario, without the lines that are for other links only. The name,
// that of its file, stands with the line in the errors.
func Parse(name string, data []byte, links Links) (*Scenario, error) {
	p := &parser{
		scenario: &Scenario{Links: AllLinks(), Peers: make(map[string]Peer), Handlers: make(map[string]Handler)},
		current:  links,
		messages: make(map[string]int),
	}

	n := 0
	for line := range bytes.Lines(data) {
		n++

		err := p.line(n, strings.TrimRight(string(line), "\r\n"))
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}

	err := p.end()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}

	return p.scenario, nil
}

// parser is what is known at a line.
type parser struct {
	scenario *Scenario
	current  Links

	// commented is set once the comment at the beginning is over.
	commented bool

	// messages are the lines of their sends.
	messages map[string]int

	// clause reads an indented line that belongs to the last statement. It is nil
	// where there can be none. finish ends that statement.
	clause func(*words)
	finish func() error
}

func (p *parser) line(n int, line string) error {
	if p.comment(line) || strings.TrimSpace(line) == "" {
		return nil
	}

	w := split(line)
	if len(w.rest) == 0 {
		return w.err
	}

	if p.scenario.About == "" {
		return errors.New("a scenario begins with a comment that says what it shows")
	}

	indented := line[0] == ' ' || line[0] == '\t'
	concerned := p.concerned(w)

	switch {
	case w.err != nil:
		return w.err
	case indented && concerned:
		return p.indented(w)
	case indented:
		return nil
	}

	err := p.finished()
	if err != nil {
		return err
	}

	switch {
	case !concerned:
		// The indented lines that follow belong to nobody either.
		p.clause = func(w *words) { w.rest = nil }

		return nil
	case w.accept("at"):
		p.step(n, w)
	case len(p.scenario.Steps) > 0:
		w.failf("%q must stand before the first step, or begin with \"at\"", w.shown())
	default:
		p.header(w)
	}

	return w.end()
}

// concerned tells whether a line is for the current links. It takes the end of the
// line that may say for which it is: "in duplex mixed".
func (p *parser) concerned(w *words) bool {
	i := slices.Index(w.rest, "in")
	if i < 0 {
		return true
	}

	end := &words{rest: w.rest[i+1:]}
	kinds := p.links(end)
	w.rest, w.err = w.rest[:i], end.err

	return slices.Contains(kinds, p.current)
}

// comment takes the lines that begin with a comment. The first of them are what
// the scenario is about.
func (p *parser) comment(line string) bool {
	text, ok := strings.CutPrefix(line, "#")
	if !ok {
		p.commented = p.commented || p.scenario.About != ""

		return false
	}

	if !p.commented {
		p.scenario.About = strings.TrimSpace(p.scenario.About + "\n" + strings.TrimSpace(text))
	}

	return true
}

// indented reads a line that belongs to the statement before.
func (p *parser) indented(w *words) error {
	if p.clause == nil {
		return errors.New("the line is indented, but belongs to no send or open")
	}

	p.clause(w)

	return w.end()
}

// finished ends the statement before.
func (p *parser) finished() error {
	finish := p.finish
	p.clause, p.finish = nil, nil

	if finish == nil {
		return nil
	}

	return finish()
}

func (p *parser) end() error {
	err := p.finished()
	if err != nil {
		return err
	}

	switch {
	case len(p.scenario.Players) == 0:
		return errors.New("there is no tree")
	case p.scenario.Height == 0:
		return errors.New("there is no height")
	case len(p.scenario.Steps) == 0:
		return errors.New("nothing happens")
	}

	if len(p.scenario.Modes) == 0 {
		p.scenario.Modes = []Mode{Plain, TLS}
	}

	return nil
}

// isNode tells whether the name is that of the orchestrator or a player.
func (p *parser) isNode(name string) bool {
	return name == Orchestrator || slices.Contains(p.scenario.Players, name)
}

// node takes the name of a node.
func (p *parser) node(w *words) string {
	name := w.next("the name of a node")
	if w.err == nil && !p.isNode(name) {
		w.failf("%q is no node: there are %s", name, strings.Join(p.scenario.Nodes(), " "))
	}

	return name
}

// player takes the name of a player.
func (p *parser) player(w *words) string {
	name := p.node(w)
	if name == Orchestrator {
		w.failf("the orchestrator is no player")
	}

	return name
}

// nodes takes one name or several, or "all" for the players.
func (p *parser) nodes(w *words) []string {
	if w.accept("all") {
		return p.scenario.Players
	}

	names := []string{p.node(w)}
	for p.isNode(w.peek()) {
		names = append(names, p.node(w))
	}

	return names
}

// nodesOrNobody takes names, or "nobody".
func (p *parser) nodesOrNobody(w *words) []string {
	if w.accept("nobody") {
		return nil
	}

	return p.nodes(w)
}
