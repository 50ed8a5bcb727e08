package session

import (
	"errors"
	"io"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
)

// HandlerEnded implements NewsReporter.
func (s *session) HandlerEnded(err error) {
	if !s.newsroom.isOpen() {
		return
	}

	failed, text := err != nil && !errors.Is(err, io.EOF), s.newsText(err)

	s.reportNews(func() *report { return s.newsroom.handlerEnded(failed, text) })
}

// reportEnd reports the end of the handler, whose messages have their outcomes now.
func (s *session) reportEnd() {
	s.reportNews(func() *report {
		s.newsroom.mu.Lock()
		defer s.newsroom.mu.Unlock()

		return s.newsroom.last()
	})
}

// reportNews sends the report that a function returns under the lock, unless that is nil.
func (s *session) reportNews(next func() *report) {
	var e effects

	s.mu.Lock()
	s.reportLocked(next(), &e)
	s.mu.Unlock()

	s.reporter.carryOut(&e)
}

// reportAgain sends a report that has not arrived.
func (s *session) reportAgain(r *report) {
	s.reportNews(func() *report {
		way := s.hasWayUpLocked()

		s.newsroom.mu.Lock()
		defer s.newsroom.mu.Unlock()

		if r.timer == nil || s.newsroom.closed {
			return nil // A new parent has got it meanwhile, or it is known.
		}

		r.timer = nil

		if isVain(r.news) && !way {
			delete(s.newsroom.reports, string(r.news.GetPlayer()))

			return nil
		}

		return r
	})
}

// reportLocked sends a report to the orchestrator, as any packet for it. A nil report is none. Before
// there is a parent nothing is sent: the first one gets it.
func (s *session) reportLocked(r *report, e *effects) {
	via := s.parents.preferred()
	if r == nil || s.closed || via == nil {
		return
	}

	to := newRecipient(s.newsroom.toKey, s.newsroom.to)
	set := to.pending(mailing{&s.newsroom, r})
	h := s.numbering.departure()
	h.Pending, h.Room, h.Rare = set, to.room(), link.NewRare(r.news, nil)

	s.reporter.step(set, to.keys, to.addrs, e, func() {
		packet := via.table.Make(s.me, to.addrs, nil)
		if packet == nil {
			e.fail(set, to.keys, to.addrs, s.reporter.failure(ReasonRejected, errNoPacket))
		} else {
			s.dispatchLocked(h, packet, e)
		}
	})
}

// reportReachedLocked reports that a child has answered, unless another link has replaced that one.
func (s *session) reportReachedLocked(l *link.Link, e *effects) {
	if s.newsroom.isOpen() && s.children.link(l.Key) == l {
		s.reportLocked(s.newsroom.reached(l.Key, l.Tenure()), e)
	}
}

// reportLostLocked reports that a child is lost.
func (s *session) reportLostLocked(l *link.Link, cause string, e *effects) {
	if s.newsroom.isOpen() {
		s.reportLocked(s.newsroom.lost(l.Key, cause, s.hasWayUpLocked()), e)
	}
}

// repeatReportsLocked tells a new parent what this session knows. It may be that nodes above have told
// the orchestrator something else, because they have lost this one.
func (s *session) repeatReportsLocked(e *effects) {
	if !s.newsroom.isOpen() {
		return
	}

	for _, r := range s.newsroom.repeat() {
		s.reportLocked(r, e)
	}
}

// endReportsLocked sends the last report before the session ends, whatever it waits for.
func (s *session) endReportsLocked(e *effects) {
	if !s.newsroom.isOpen() || s.closed {
		return
	}

	s.newsroom.mu.Lock()
	r := s.newsroom.last()
	s.newsroom.mu.Unlock()

	s.reportLocked(r, e)
}

// hasWayUpLocked tells whether a parent is there that is not cut off.
func (s *session) hasWayUpLocked() bool {
	return len(s.parents) > 0 && s.parents.preferred().rank() < 2
}

// rootReachedLocked notes in the roster of an orchestrator that the root has been reached.
func (s *session) rootReachedLocked(root mino.Address) {
	if s.mailbox.roster != nil {
		version := uint64(time.Now().UnixNano())
		n := &ptypes.News{State: ptypes.PlayerState_PLAYER_STATE_REACHED, Version: version}
		_ = s.mailbox.roster.note(root, n, nil) // Without an account there is room.
	}
}

// rootLostLocked notes that the root is lost. Nothing newer will come.
func (s *session) rootLostLocked(root mino.Address, cause string) {
	if s.mailbox.roster != nil {
		_ = s.mailbox.roster.note(root, &ptypes.News{State: ptypes.PlayerState_PLAYER_STATE_LOST, Text: cause}, nil)
	}
}

// nextTenureLocked returns the number of the registration that begins now, for its parent to number what
// it says about this node. It is larger than those before, also than those of a session that this node
// had in the stream before it was started again. It is 0 if nobody wants news.
func (s *session) nextTenureLocked() uint64 {
	if !s.newsroom.isOpen() {
		return 0
	}

	s.tenure = max(s.tenure+tenureStep, uint64(time.Now().UnixNano()))

	return s.tenure
}
