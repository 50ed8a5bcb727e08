package session

import (
	"errors"
	"fmt"
	"slices"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/rs/zerolog"
)

// maxFormer bounds the registrations that are over and still count.
const maxFormer = 16

// acquaintances are the neighbours that a session has had, beside its parents: what they
// have sent may still be under way when they are lost or replaced. Nothing is kept here
// without [WithNeighborsOnly].
type acquaintances struct {
	// children are those that the session has ever opened a link to, by the text of the
	// address.
	children map[string]mino.Address

	// former are registrations that are over, the oldest first.
	former []registration
}

// registration is what remains of that of a parent.
type registration struct {
	key   string
	table router.RoutingTable
	// led is set when the table has led to a child. Then it goes on saying what may come
	// from there.
	led bool
}

// noteChildLocked remembers that a link to a child has been opened by a table.
func (s *session) noteChildLocked(via *parent, key string, child mino.Address) {
	if !s.neighborsOnly {
		return
	}

	via.led = true

	if s.known.children == nil {
		s.known.children = make(map[string]mino.Address)
	}

	s.known.children[key] = child
}

// passedOverLocked returns the texts of the children in whose place this node opens a
// stream to one that was behind them. They may only be out of reach from here: when this
// node is lost in its turn, the others go by them again, and the player must know them for
// its ancestors. Only a table that is a [router.Sources] can tell.
func (s *session) passedOverLocked(via *parent, key string, child mino.Address) []string {
	sources, ok := via.table.(router.Sources)
	if !ok {
		return nil
	}

	var texts []string

	for text, other := range s.known.children {
		if text == key {
			continue
		}

		behind, err := contain.Call(func() (bool, error) { return sources.MayCome(child, other), nil })
		if err == nil && behind {
			texts = append(texts, text)
		}
	}

	return texts
}

// noteFormerLocked remembers a parent whose registration is over. Of several ones of the
// same gateway the last one counts, and those that have led to children.
func (s *session) noteFormerLocked(par *parent) {
	if !s.neighborsOnly {
		return
	}

	known := &s.known

	known.former = slices.DeleteFunc(known.former, func(r registration) bool { return r.key == par.key && !r.led })
	if len(known.former) == maxFormer {
		known.former = slices.Delete(known.former, 0, 1)
	}

	known.former = append(known.former, registration{key: par.key, table: par.table, led: par.led})
}

// admit refuses a caller that is no neighbour, before anything of its packet is looked
// at. A session that is closed, or has no parent yet, has another answer for it.
func (s *session) admit(key string, from mino.Address) error {
	if !s.neighborsOnly {
		return nil
	}

	s.mu.Lock()
	stranger := !s.closed && len(s.parents) > 0 && !s.knowsLocked(key)
	s.mu.Unlock()

	if !stranger {
		return nil
	}

	err := fmt.Errorf("%w: %s is no neighbour in this session", ErrStranger, nameOf(from))
	s.refused(from, err)

	return err
}

// knowsLocked tells whether somebody is or has been a neighbour.
func (s *session) knowsLocked(key string) bool {
	_, child := s.known.children[key]

	return child || s.parents.byKey(key) != nil || s.parents.byFollower(key) != nil ||
		slices.ContainsFunc(s.known.former, func(r registration) bool { return r.key == key })
}

// screenLocked returns why a packet is refused, or nil.
func (s *session) screenLocked(in arrival, packet router.Packet) (err error) {
	if !s.neighborsOnly {
		return nil
	}

	defer contain.Recover(&err)

	source := packet.GetSource()
	if s.comesDownLocked(in.from, source) || s.comesUpLocked(in, source) {
		return nil
	}

	return fmt.Errorf("%w: a packet of %s cannot come from %s", ErrSource, sourceName(source), nameOf(in.addr))
}

// comesDownLocked tells whether a packet may come from the neighbour as a parent, by the
// table of its registration, or by the last one that it had.
func (s *session) comesDownLocked(from string, source mino.Address) bool {
	par := s.parents.byKey(from)
	if par != nil {
		return s.mayCome(par.table, source, nil)
	}

	for _, r := range slices.Backward(s.known.former) {
		if r.key == from {
			return s.mayCome(r.table, source, nil)
		}
	}

	return false
}

// comesUpLocked tells whether a packet may come from the neighbour as a child. Any table
// may say so: a link is used by the tables that come after the one that has led to it,
// and what that one has made of the child stays as it is when it is gone.
func (s *session) comesUpLocked(in arrival, source mino.Address) bool {
	_, child := s.known.children[in.from]
	if !child {
		return false
	}

	return slices.ContainsFunc(s.parents, func(par *parent) bool { return s.mayCome(par.table, source, in.addr) }) ||
		slices.ContainsFunc(s.known.former, func(r registration) bool { return s.mayCome(r.table, source, in.addr) })
}

// mayCome asks a table, if it can tell. What this node has sent comes from nowhere.
func (s *session) mayCome(table router.RoutingTable, source, from mino.Address) bool {
	sources, ok := table.(router.Sources)
	if !ok {
		return true
	}

	key, err := keyOf(source)

	return err == nil && key != s.meKey && sources.MayCome(source, from)
}

// sourceName prints the source of a packet, which may be nil.
func sourceName(source mino.Address) string {
	if source == nil {
		return "nobody"
	}

	return nameOf(source)
}

// refused tells about a packet that was not taken because of whom it comes from.
func (s *session) refused(from mino.Address, err error) {
	if !errors.Is(err, ErrStranger) {
		return
	}

	// The first one says that something is wrong. How many more there are is up to somebody
	// who may mean harm.
	level := zerolog.DebugLevel
	if !s.warned.Swap(true) {
		level = zerolog.WarnLevel
	}

	s.logger.WithLevel(level).Err(err).Msg("packet refused")

	if s.observer.PacketRefused != nil {
		s.observe(func() { s.observer.PacketRefused(from, err) })
	}
}
