package session

import (
	"fmt"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/provenance"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// usualParents is the number of parents up to which a look at the registrations takes no
// memory.
const usualParents = 4

// noteChildLocked remembers that a table has led to a child, to which a link is opened now.
// Nothing is remembered without [WithNeighborsOnly].
func (s *session) noteChildLocked(via *parent, key string, child mino.Address) {
	if s.neighborsOnly {
		via.led = true
		s.provenance.Opened(provenance.Node{Key: key, Addr: child})
	}
}

// noteFormerLocked remembers a parent whose registration is over.
func (s *session) noteFormerLocked(par *parent) {
	if s.neighborsOnly {
		s.provenance.Over(par.registration())
	}
}

// passedOverLocked returns the texts of the children in whose place this node opens a
// stream to a child that was behind them.
func (s *session) passedOverLocked(via *parent, key string, child mino.Address) []string {
	return s.provenance.PassedOver(via.table, provenance.Node{Key: key, Addr: child})
}

// registration returns what provenance needs to know of a parent.
func (par *parent) registration() provenance.Registration {
	return provenance.Registration{Key: par.key, Table: par.table, Led: par.led}
}

// registrationsLocked appends those of the present parents to a list.
func (s *session) registrationsLocked(list []provenance.Registration) []provenance.Registration {
	for _, par := range s.parents {
		list = append(list, par.registration())
	}

	return list
}

// admit refuses a caller that is no neighbour, before the session looks at anything of its
// packet. A session that is closed, or has no parent yet, has another answer for it.
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
	s.witness.packetRefused(from, err)

	return err
}

// knowsLocked tells whether a caller is or has been a neighbour. An existing orchestrator calls
// under the key of the player on its node.
func (s *session) knowsLocked(key string) bool {
	var usual [usualParents]provenance.Registration

	return s.parents.byFollower(key) != nil || s.provenance.Knows(key, s.registrationsLocked(usual[:0]))
}

// screenLocked returns why a packet is refused for where it comes from, or nil.
func (s *session) screenLocked(in arrival, packet router.Packet) (err error) {
	if !s.neighborsOnly {
		return nil
	}

	defer contain.Recover(&err)

	var usual [usualParents]provenance.Registration

	// A source that has no text is nobody's.
	source := packet.GetSource()
	key, _ := keyOf(source)

	if s.provenance.Admits(s.meKey, provenance.Node{Key: in.from, Addr: in.addr},
		provenance.Node{Key: key, Addr: source}, s.registrationsLocked(usual[:0])) {
		return nil
	}

	return fmt.Errorf("%w: a packet of %s cannot come from %s", ErrSource, sourceName(source), nameOf(in.addr))
}

// sourceName prints the source of a packet, which may be nil.
func sourceName(source mino.Address) string {
	if source == nil {
		return "nobody"
	}

	return nameOf(source)
}
