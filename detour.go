package session

import (
	"cmp"
	"slices"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
)

// parentTurned notes that a parent has lost its own way up, or has one again.
func (s *session) parentTurned(l *link.Link, cut bool) {
	var e effects

	s.mu.Lock()
	if par := s.parents.byLink(l); par != nil {
		par.cut = cut

		if s.parents.preferred().chosen {
			s.tellLocked()
		} else {
			s.turnLocked(nil, &e)
		}
	}
	s.mu.Unlock()

	s.reporter.carryOut(&e)
}

// turnLocked follows a change of the parents. It chooses the best one, moves to it what waits
// elsewhere, and tells the children whether there is a way up. Whoever changes the state of a
// parent calls it in the same step, before anything newer is routed. The cause is that of a loss,
// or nil when no parent is lost.
func (s *session) turnLocked(cause error, e *effects) {
	best := s.parents.preferred()
	if best == nil {
		return
	}

	s.parents.choose(best)
	s.detourLocked(best, cause, e)
	s.tellLocked()
}

// tellLocked tells the children whether there is a way up, if that has changed.
func (s *session) tellLocked() {
	cut := s.parents.isCut()
	if cut == s.cut {
		return
	}

	s.cut = cut
	for _, c := range s.children {
		if c.link != nil {
			c.link.SetCut(cut)
		}
	}
}

// detourLocked moves the packets that would leave by another way now, in their order and under
// their old identities. What is newer then follows them. The copies that stay at the old way are
// second ones, wherever they arrive.
//
// The order of calls is not promised. So only what waits for a parent without a stream moves to a
// link of calls, and nothing moves from one.
func (s *session) detourLocked(best *parent, cause error, e *effects) {
	calls := best.state <= suspect && best.link.Opened() && !best.link.Duplex()

	for _, par := range s.parents {
		if par.state == broken || !calls && par.state != orphaned {
			s.moveLocked(par.link, cause, e)
		}
	}

	for _, c := range s.children {
		if c.link != nil && !calls {
			s.moveLocked(c.link, cause, e)
		}
	}
}

// moveLocked takes the packets out of a link that would leave by another one now, and routes them
// again. A session that must not repeat a packet leaves those where they are that may have left.
func (s *session) moveLocked(l *link.Link, cause error, e *effects) {
	waiting := slices.DeleteFunc(l.Waiting(), func(p *link.Parcel) bool {
		stays, err := contain.Call(func() (bool, error) { return s.staysLocked(l, p), nil })

		return stays || err != nil
	})

	if len(waiting) == 0 {
		return
	}

	for _, p := range l.Take(waiting, !s.noRetry) {
		s.rerouteLocked([]*link.Parcel{p}, cmp.Or(cause, p.Lost), false, e)
	}
}

// staysLocked tells whether a packet would be given to the link in which it is. What has come from
// a parent goes by the table of that one, whatever becomes of the others.
func (s *session) staysLocked(l *link.Link, p *link.Parcel) bool {
	via := s.parents.tableFor(p.From)
	if p.Down || via == nil {
		return true
	}

	routes, voids := via.table.Forward(p.Packet)
	if len(voids) > 0 || len(routes) != 1 {
		return len(routes) == 0
	}

	for gw := range routes {
		if gw != nil {
			return s.children.link(mustKey(gw)) == l
		}
	}

	return !slices.ContainsFunc(p.Keys, func(key string) bool {
		par := s.parents.toward(key, p.From, p.Failed)

		return par != nil && par.outlet() != l
	})
}
