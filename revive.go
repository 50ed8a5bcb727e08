package session

import (
	"errors"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// revival is what is done to reach a child again that has been lost, without waiting
// for the next packet: the child may only have been cut off, and be waiting for its
// parent. The lock of the session guards it.
type revival struct {
	// until is when the child waits no more, as far as this node can know.
	until time.Time
	pause time.Duration
	timer *time.Timer
}

// firstPause is how long after the loss the first attempt comes. Each pause is twice
// the one before.
const firstPause = time.Second

// reviveLocked plans the next attempt to reach a child that has been lost.
func (s *session) reviveLocked(l *link.Link, cause error) {
	r := s.revivals[l.Key]

	switch {
	case s.closed || !cutOff(cause) || l.Parting():
		s.forgetLocked(l.Key)

		return
	case r != nil:
		r.pause *= 2
	case l.Opened():
		r = &revival{until: time.Now().Add(s.grace), pause: firstPause}
		s.revivals[l.Key] = r
	default:
		// Who has never been there is not missed.
		return
	}

	if time.Now().Add(r.pause).After(r.until) {
		s.forgetLocked(l.Key)

		return
	}

	r.timer = time.AfterFunc(r.pause, func() { s.revive(r, l) })
}

// cutOff tells whether the cause of a loss may be something between the two nodes, as
// opposed to the neighbour's own will.
func cutOff(cause error) bool {
	return errors.Is(cause, link.ErrSilent) || errors.Is(cause, link.ErrSetup) ||
		status.Code(cause) == codes.Unavailable
}

// revive makes an attempt, unless a packet has done so.
func (s *session) revive(r *revival, l *link.Link) {
	s.mu.Lock()
	defer s.mu.Unlock()

	via := s.preferredLocked()
	if s.revivals[l.Key] != r || s.children[l.Key] != nil || via == nil {
		return
	}

	s.fault(contain.Do(func() { s.adoptLocked(via, []mino.Address{l.Peer}) }))

	if s.children[l.Key] == nil {
		// The table does not want it yet, or not at all.
		s.reviveLocked(l, link.ErrSilent)
	}
}

// forgetLocked gives up the attempts to reach a child, because it is there again or
// will not come back.
func (s *session) forgetLocked(key string) {
	r := s.revivals[key]
	if r == nil {
		return
	}

	if r.timer != nil {
		r.timer.Stop()
	}

	delete(s.revivals, key)
}
