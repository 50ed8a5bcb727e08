package session

import (
	"slices"
	"time"

	"github.com/minogrpc/session/internal/deadline"
	"github.com/minogrpc/session/internal/link"
)

// suspicion is how long the session prefers other parents to one that did not take a packet.
// Only the stream of a parent tells whether it is lost.
const suspicion = time.Second

// maxPostponed is how often a packet that no parent takes waits for the end of the suspicion,
// before the session gives it up.
const maxPostponed = 3

// parentFailed routes a parcel again that a parent did not take. The parent stays registered.
func (s *session) parentFailed(l *link.Link, p *link.Parcel, cause error) {
	var e effects

	s.reporter.giveUp(p, cause)

	h := p.Header
	h.Failed = append(slices.Clone(p.Failed), l.Key)

	news := false

	s.mu.Lock()
	par := s.parents.byKey(l.Key)

	if par != nil && par.link == l {
		news = par.distrust(time.Now().Add(suspicion))
		s.turnLocked(nil, &e)
	}

	switch {
	case s.noRetry && p.MayArrive() && !s.closed:
		e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonUnreachable, cause))
	case s.isPostponableLocked(par, h):
		s.reporter.step(h.Pending, p.Keys, p.Dests, &e, func() { s.postponeLocked(par, p, cause, &e) })
	default:
		s.againLocked(h, p, cause, &e)
	}
	s.mu.Unlock()

	if news {
		s.witness.parted(l.Peer, cause)
	}

	s.reporter.carryOut(&e)
}

// isPostponableLocked tells whether a packet that a parent did not take waits until the stream of
// the parent tells more. The calls to a lost node often fail before its stream ends.
func (s *session) isPostponableLocked(par *parent, h link.Header) bool {
	return par != nil && par.isReplaceable(s.me) && h.Attempts < maxPostponed && s.parents.pick(h.From, h.Failed) == nil
}

// postponeLocked parks a parcel for a parent that did not take it.
func (s *session) postponeLocked(par *parent, p *link.Parcel, cause error, e *effects) {
	parked := par.waitingLink()
	if parked == nil {
		parked = s.parkLocked(par)

		var timer *deadline.Deadline

		timer = deadline.Start(suspicion, suspicion, func() { s.retry(par, func() bool { return par.timer == timer }) })
		par.park(parked, timer)
	}

	h := p.Header
	h.Lost = cause

	err := parked.Add(&link.Parcel{Header: h, Packet: p.Packet, Dests: p.Dests, Keys: p.Keys})
	if err != nil {
		e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonOverflow, err))

		return
	}

	e.flush(parked)
}

// retry routes the postponed packets again, if their time has come.
func (s *session) retry(par *parent, due func() bool) {
	var e effects

	s.mu.Lock()
	if due() {
		for _, p := range par.unpark() {
			s.rerouteLocked([]*link.Parcel{p}, p.Lost, false, &e)
		}
	}
	s.mu.Unlock()

	s.reporter.carryOut(&e)
}
