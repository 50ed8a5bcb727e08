package session

import (
	"errors"
	"io"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/ptypes"
)

// linkOwner implements link.Owner for a session. It is a type of its own so that the users of a
// session do not see these methods.
type linkOwner session

func (o *linkOwner) session() *session {
	return (*session)(o)
}

// Opened implements link.Owner.
func (o *linkOwner) Opened(l *link.Link) {
	s := o.session()

	var e effects

	s.mu.Lock()
	s.children.opened(l)
	s.reportReachedLocked(l, &e)
	s.mu.Unlock()

	s.witness.opened(l.Peer)
	s.reporter.carryOut(&e)
}

// Sent implements link.Owner.
func (o *linkOwner) Sent(l *link.Link, p *link.Parcel) {
	o.session().witness.sent(l.Peer, p.Packet)
}

// Received implements link.Owner.
func (o *linkOwner) Received(l *link.Link, p *ptypes.Packet) {
	o.session().fromStream(l, p, false)
}

// Answered implements link.Owner.
func (o *linkOwner) Answered(l *link.Link, p *link.Parcel, a link.Answer) {
	o.session().reporter.answered(l.Peer, p, a)
}

// Arrived implements link.Owner.
func (o *linkOwner) Arrived(l *link.Link, arrivals []link.Arrival) {
	o.session().arrived(l, arrivals)
}

// Stalled implements link.Owner.
func (o *linkOwner) Stalled(l *link.Link, err error) {
	o.session().witness.stalled(l.Peer, err)
}

// Broken implements link.Owner.
func (o *linkOwner) Broken(l *link.Link, cause error) {
	o.session().breakParent(l, cause)
}

// Redials implements link.Owner.
func (o *linkOwner) Redials(l *link.Link, cause error) {
	o.session().witness.broken(l.Peer, cause)
}

// Resumed implements link.Owner.
func (o *linkOwner) Resumed(l *link.Link) {
	o.session().witness.resumed(l.Peer)
}

// Turned implements link.Owner. What a child says about the way of its parents means nothing.
func (o *linkOwner) Turned(l *link.Link, cut bool) {
	o.session().parentTurned(l, cut)
}

// Measured implements link.Owner.
func (o *linkOwner) Measured(l *link.Link, roundTrip time.Duration) {
	o.session().witness.measured(l.Peer, roundTrip)
}

// Goodbye implements link.Owner. At the end that has dialled, it waits for the end of the stream,
// whose status says more.
func (o *linkOwner) Goodbye(l *link.Link) {
	s := o.session()

	par := s.parentOf(l)
	if par != nil && par.goodbye {
		s.loseParent(par, io.EOF)
	}
}

// Failed implements link.Owner.
func (o *linkOwner) Failed(l *link.Link, p *link.Parcel, err error) {
	s := o.session()

	s.witness.fault(err)

	switch {
	case errors.Is(err, link.ErrClosed):
		end := s.end()
		s.reporter.giveUp(p, end)
		s.reporter.settleParcel(p, s.reporter.failure(ReasonClosed, end))
	case errors.Is(err, link.ErrExpired) || !link.IsLoss(err):
		s.reporter.settleParcel(p, s.reporter.failureOf(err))
	default:
		s.parentFailed(l, p, err)
	}
}

// Lost implements link.Owner.
func (o *linkOwner) Lost(l *link.Link, cause error) {
	s := o.session()
	s.witness.fault(cause)

	par := s.parentOf(l)

	switch {
	case par != nil:
		s.loseParent(par, cause)
	case l.Down:
		// Another registration has replaced this one, and got the packets that waited. Those
		// that are left were added since then.
		for _, p := range l.Drain() {
			s.reporter.giveUp(p, cause)
			s.reporter.settleParcel(p, s.reporter.failureOf(cause))
		}
	default:
		s.loseChild(l, cause)
	}
}

// parentOf returns the registration that a link belongs to, or nil if it leads to a child.
func (s *session) parentOf(l *link.Link) *parent {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.parents.byLink(l)
}

// Released implements link.Owner.
func (o *linkOwner) Released(l *link.Link) {
	s := o.session()
	defer s.ended()

	s.shares().Leave(shareOf(l.Peer))
	s.witness.closed(l.Peer)
}

var _ link.Owner = (*linkOwner)(nil)
