package session

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// errReplaced is why what waited for a parent is routed again when that has
// registered once more, or another one has adopted the session.
var errReplaced = errors.New("the parent has been replaced")

// parent is one registration. A gateway that registers again is a new one.
type parent struct {
	key   string
	addr  mino.Address
	table router.RoutingTable
	// goodbye is set when an end without one is a break.
	goodbye bool
	// gone is closed when the registration has ended.
	gone chan struct{}
	// linkID is that of a duplex link that the parent has dialled, and first what taken
	// is in the beginning.
	linkID string
	first  chan struct{}

	// What follows belongs to the lock of the session.

	// led is set when the table has led to a child; see provenance.Registration.
	led bool
	// taken is closed when another stream takes the place of the one that Listen has,
	// which is the one with that epoch.
	taken chan struct{}
	epoch uint64
	// link leads to the parent, or, once that is lost, to nowhere.
	link *link.Link
	// grace ends the time that is left for another parent to adopt the session. It is
	// nil while the parent is not lost.
	grace *time.Timer
	// suspect is until when another parent is preferred.
	suspect time.Time
	// limbo holds what the parent did not take and no other could, until again tries
	// once more, or the stream tells that the parent is lost. It is nil when empty.
	limbo *link.Link
	again *time.Timer
}

// GetNumParents implements Session.
func (s *session) GetNumParents() int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return len(s.parents)
}

// loseParent ends a registration, unless that has happened. The session goes on
// with the other parents. With the last one it closes, or becomes an orphan.
func (s *session) loseParent(par *parent, cause error) {
	s.loseParentIf(par, cause, func() bool { return true })
}

// loseParentIf is loseParent under a condition that needs the lock.
func (s *session) loseParentIf(par *parent, cause error, lost func() bool) {
	var after aftermath

	s.mu.Lock()
	if !slices.Contains(s.parents, par) || !lost() {
		s.mu.Unlock()

		return
	}

	var left remains

	last := len(s.parents) == 1

	switch {
	case last && par.goodbye && par.grace == nil && !errors.Is(cause, io.EOF):
		s.orphanLocked(par, cause, &after)
	case last:
		// Recv must have its cause before Listen returns.
		s.queue.Close(endOf(cause))
		s.dropLocked(par, cause, &after)
		left = s.closeLocked(endOf(cause))
	default:
		s.dropLocked(par, cause, &after)
	}
	s.mu.Unlock()

	s.settleAll(&after)

	if !errors.Is(cause, io.EOF) {
		s.observeLost(par.addr, cause)
	}

	left.release((*link.Link).Close)
}

// breakParent waits for a parent whose stream has ended without a goodbye to go on
// with another one. With other parents what is for it goes to them meanwhile.
func (s *session) breakParent(l *link.Link, cause error) {
	var after aftermath

	s.mu.Lock()
	i := slices.IndexFunc(s.parents, func(par *parent) bool { return par.link == l && par.grace == nil })

	if i < 0 {
		s.mu.Unlock()

		return
	}

	par := s.parents[i]
	s.waitLocked(par, cause)

	if len(s.parents) > 1 {
		s.rerouteLocked(par.drain(), cause, false, &after)
	}
	s.mu.Unlock()

	s.observeLost(par.addr, cause)
	s.settleAll(&after)
}

// waitLocked starts the time that is left for a lost parent to come back, or for
// another one to take its place. Nobody takes that of an orchestrator.
func (s *session) waitLocked(par *parent, cause error) {
	grace := s.grace
	if isOrchestrator(par.addr) {
		grace = min(grace, s.silence)
	}

	var timer *time.Timer

	// A timer that has fired may find that the parent is back, or is lost again.
	timer = time.AfterFunc(grace, func() {
		s.loseParentIf(par, cause, func() bool { return par.grace == timer })
	})
	par.grace = timer
}

// orphanLocked gives the session some time to be adopted. Until then it goes by the
// table of the parent that it has lost, and what is for the parent waits.
func (s *session) orphanLocked(par *parent, cause error, after *aftermath) {
	waiting := par.drain()
	par.link.Close()
	par.link = s.parkLocked(par)
	s.waitLocked(par, cause)
	s.rerouteLocked(waiting, cause, false, after)
}

// parkLocked returns a link that only holds what is for a parent.
func (s *session) parkLocked(par *parent) *link.Link {
	cfg := s.linkConfig(par.addr, par.key)
	cfg.Owner = parkOwner{(*linkOwner)(s)}
	s.alive++

	return link.Park(cfg)
}

// parkOwner is told about a parked link, whose end is nothing that an observer would
// understand.
type parkOwner struct {
	*linkOwner
}

// Released implements link.Owner.
func (o parkOwner) Released(*link.Link) {
	o.session().released()
}

// endOf returns what Recv says after the end of the last parent. A parent that
// has said goodbye is a clean end.
func endOf(cause error) error {
	if errors.Is(cause, io.EOF) {
		return nil
	}

	return fmt.Errorf("stream closed unexpectedly: %w", cause)
}

// dropLocked takes a parent out and routes again what waits for it.
func (s *session) dropLocked(par *parent, cause error, after *aftermath) {
	s.parents = slices.DeleteFunc(s.parents, func(p *parent) bool { return p == par })
	s.noteFormerLocked(par)
	s.rerouteLocked(par.drain(), cause, false, after)
	par.end()
}

// drain takes what waits for the parent.
func (par *parent) drain() []*link.Parcel {
	waiting := par.link.Drain()

	if par.limbo != nil {
		waiting = append(waiting, par.limbo.Drain()...)
		par.closeLimbo()
	}

	return waiting
}

// end releases what belongs to a registration that is over.
func (par *parent) end() {
	if par.grace != nil {
		par.grace.Stop()
	}

	if par.limbo != nil {
		par.closeLimbo()
	}

	par.link.Close()
	close(par.gone)
}

// parentLocked returns the registration of a gateway, or nil.
func (s *session) parentLocked(key string) *parent {
	for _, par := range s.parents {
		if par.key == key {
			return par
		}
	}

	return nil
}

// preferredLocked returns the newest parent that has not failed lately, the newest
// if all have, or nil.
func (s *session) preferredLocked() *parent {
	return s.pickParentLocked(link.Header{})
}
