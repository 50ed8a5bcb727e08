package session

import (
	"errors"
	"io"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/ptypes"
)

// linkOwner implements link.Owner for a session, so that the methods are not part
// of what users can find there.
type linkOwner session

func (o *linkOwner) session() *session {
	return (*session)(o)
}

// Opened implements link.Owner.
func (o *linkOwner) Opened(l *link.Link) {
	s := o.session()

	s.mu.Lock()
	s.children.opened(l)
	s.mu.Unlock()

	s.witness.opened(l.Peer)
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
func (o *linkOwner) Arrived(l *link.Link, a link.Arrival) {
	o.session().arrived(l, a)
}

// Broken implements link.Owner.
func (o *linkOwner) Broken(l *link.Link, cause error) {
	o.session().breakParent(l, cause)
}

// Goodbye implements link.Owner. At the end that has dialled, the end of the stream
// also says why.
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

	packetOnly := errors.Is(err, link.ErrClosed) || errors.Is(err, link.ErrExpired) || !link.IsLoss(err)
	if packetOnly {
		s.reporter.settleParcel(p, s.reporter.failureOf(err))
	} else {
		s.parentFailed(l, p, err)
	}
}

// Lost implements link.Owner.
func (o *linkOwner) Lost(l *link.Link, cause error) {
	s := o.session()
	s.witness.fault(cause)

	if errors.Is(cause, link.ErrSilent) {
		// The connection may look alive all the same. A fresh one may work.
		s.dialler.evict(l.Peer)
	}

	par := s.parentOf(l)

	switch {
	case par != nil:
		s.loseParent(par, cause)
	case l.Down:
		// Another registration has taken its place, and all that waited for it. What is left can
		// only have been added by others since.
		for _, p := range l.Drain() {
			s.reporter.settleParcel(p, s.reporter.failureOf(cause))
		}
	default:
		s.loseChild(l, cause)
	}
}

// parentOf returns the registration that a link belongs to, or nil for one of a child.
func (s *session) parentOf(l *link.Link) *parent {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.parents.byLink(l)
}

// Released implements link.Owner.
func (o *linkOwner) Released(l *link.Link) {
	s := o.session()
	defer s.released()

	s.witness.closed(l.Peer)
}

var _ link.Owner = (*linkOwner)(nil)
