package session

import (
	"errors"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// loseChild tells the tables, adopts the nodes behind the child, and routes its packets again,
// all in one step.
func (s *session) loseChild(l *link.Link, cause error) {
	var e effects

	text := s.newsText(cause)

	s.mu.Lock()
	current, closed := s.children.link(l.Key) == l, s.closed
	missed := s.children.lose(l)
	refused := make(map[*parent]bool)

	for _, par := range s.parents {
		var orphans []mino.Address
		if l.Opened() {
			orphans = orphansOf(par.table, l.Peer)
		}

		_, err := contain.Call(func() (struct{}, error) { return struct{}{}, par.table.OnFailure(l.Peer) })
		s.witness.fault(err)
		refused[par] = err != nil

		if err == nil && len(orphans) > 0 {
			s.witness.fault(contain.Do(func() { s.adoptLocked(par, orphans) }))
		}
	}

	parcels := l.Drain()
	// An attempt to reach a lost child failed. The observer knows of the loss already.
	quiet := missed && !l.Opened() && len(parcels) == 0

	s.missLocked(l, cause)

	if current {
		s.reportLostLocked(l, text, &e)
	}

	for _, p := range parcels {
		// Only the table that chose the neighbour knows whether there is another one.
		via, _ := p.Via.(*parent)
		s.rerouteLocked([]*link.Parcel{p}, cause, refused[via], &e)
	}
	s.mu.Unlock()

	switch {
	case quiet:
	case missed || closed:
		s.witness.relayLost(l.Peer, cause)
	default:
		s.witness.noticed(l.Peer, cause)
	}

	s.reporter.carryOut(&e)
}

// orphansOf returns the nodes behind a neighbour, if the table can tell.
func orphansOf(table router.RoutingTable, gw mino.Address) []mino.Address {
	subtree, ok := table.(router.Subtree)
	if !ok {
		return nil
	}

	orphans, _ := contain.Call(func() ([]mino.Address, error) { return subtree.Descendants(gw), nil })

	return orphans
}

// adoptLocked becomes the parent of nodes that have lost theirs. It does not wait for the next
// packet for them, because they might give up before that comes.
func (s *session) adoptLocked(via *parent, orphans []mino.Address) {
	packet := via.table.Make(s.me, orphans, nil)
	if packet == nil {
		return
	}

	routes, _ := via.table.Forward(packet)

	for gw := range routes {
		key, err := keyOf(gw)
		if err == nil && key != s.meKey && s.children.link(key) == nil {
			s.openLocked(via, gw, key, s.outcome)
		}
	}
}

// missLocked plans the next attempt to reach a lost child.
func (s *session) missLocked(l *link.Link, cause error) {
	if s.closed || !isCutOff(cause) || l.Parting() {
		s.children.forget(l.Key)

		return
	}

	pause, ok := s.children.miss(l, time.Now(), s.grace)
	if !ok {
		return
	}

	c := s.children[l.Key]

	var timer *time.Timer

	timer = time.AfterFunc(pause, func() { s.revive(l, func() bool { return c.next == timer }) })
	c.plan(timer)
}

// isCutOff tells whether something between the two nodes may have caused the loss of a child,
// and not the child itself.
func isCutOff(cause error) bool {
	return errors.Is(cause, link.ErrSilent) || errors.Is(cause, link.ErrSetup) ||
		status.Code(cause) == codes.Unavailable
}

// revive makes an attempt to reach a lost child, unless a packet has made one meanwhile.
func (s *session) revive(l *link.Link, due func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	via := s.parents.preferred()
	if via == nil || !due() {
		return
	}

	s.witness.fault(contain.Do(func() { s.adoptLocked(via, []mino.Address{l.Peer}) }))

	if s.children.link(l.Key) == nil {
		// The table does not want the child yet, or not at all.
		s.missLocked(l, link.ErrSilent)
	}
}
