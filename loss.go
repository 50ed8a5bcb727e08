package session

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What the loss of a neighbour costs, and what makes up for it.

// errReplaced is why what waited for a parent is routed again when that has
// registered once more, or another one has adopted the session.
var errReplaced = errors.New("the parent has been replaced")

// unpromised is how long a session waits for another parent when it has lost one that had
// not promised a goodbye, as existing nodes do not. That may have been an ordinary end, so
// that it is short; and it is enough for the node above, which notices the loss of an existing
// node when the connection breaks.
const unpromised = time.Second

// loseParent ends a registration, unless that has happened. The session goes on
// with the other parents. With the last one it closes, or becomes an orphan.
func (s *session) loseParent(par *parent, cause error) {
	s.loseParentIf(par, cause, func() bool { return true })
}

// loseParentIf is loseParent under a condition that needs the lock.
func (s *session) loseParentIf(par *parent, cause error, lost func() bool) {
	var e effects

	s.mu.Lock()
	if !slices.Contains(s.parents, par) || !lost() {
		s.mu.Unlock()

		return
	}

	last := len(s.parents) == 1

	switch {
	case last && !par.isWaiting() && !errors.Is(cause, io.EOF) && s.adoptable(par):
		s.orphanLocked(par, cause, &e)
	case last:
		// Recv must have its cause before Listen returns.
		end := endOf(par, cause)
		s.mailbox.queue.Close(end)
		s.dropLocked(par, cause, &e)
		s.closeLocked(end, (*link.Link).Close)
	default:
		s.dropLocked(par, cause, &e)
	}
	s.mu.Unlock()

	s.reporter.carryOut(&e)

	if !errors.Is(cause, io.EOF) {
		s.witness.lost(par.addr, cause)
	}
}

// breakParent waits for a parent whose stream has ended without a goodbye to go on
// with another one. With other parents what is for it goes to them meanwhile.
func (s *session) breakParent(l *link.Link, cause error) {
	var e effects

	s.mu.Lock()
	par := s.parents.byLink(l)

	if par == nil {
		s.mu.Unlock()

		return
	}

	waiting := par.unpark()
	if len(s.parents) > 1 {
		waiting = append(par.drain(), waiting...)
	}

	par.breakOff(s.giveUpLocked(par, cause))
	s.rerouteLocked(waiting, cause, false, &e)
	s.mu.Unlock()

	s.witness.lost(par.addr, cause)
	s.reporter.carryOut(&e)
}

// adoptable tells whether another node may take the place of the parent. Nobody takes that of
// an orchestrator, and nobody looks after one; but an orchestrator that has promised a goodbye
// may come back.
func (s *session) adoptable(par *parent) bool {
	return par.goodbye || !isOrchestrator(par.addr) && !isOrchestrator(s.me)
}

// patienceFor returns how long a lost parent may take to come back, or another one to take its
// place.
func (s *session) patienceFor(par *parent) time.Duration {
	switch {
	case !par.goodbye:
		return unpromised
	case isOrchestrator(par.addr):
		return min(s.grace, s.silence)
	default:
		return s.grace
	}
}

// giveUpLocked returns the timer that ends the wait for a lost parent.
func (s *session) giveUpLocked(par *parent, cause error) *time.Timer {
	var timer *time.Timer

	// A timer that has fired may find that the parent is back, or is lost again.
	timer = time.AfterFunc(s.patienceFor(par), func() {
		s.loseParentIf(par, cause, func() bool { return par.timer == timer })
	})

	return timer
}

// orphanLocked gives the session some time to be adopted. Until then it goes by the
// table of the parent that it has lost, and what is for the parent waits.
func (s *session) orphanLocked(par *parent, cause error, e *effects) {
	waiting := par.drain()
	par.orphan(s.parkLocked(par), s.giveUpLocked(par, cause))
	s.rerouteLocked(waiting, cause, false, e)
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

// endOf returns what Recv says after the end of the last parent. A goodbye is a clean end, and
// so is what an existing node has instead: it cancels the stream.
func endOf(par *parent, cause error) error {
	if errors.Is(cause, io.EOF) || !par.goodbye && status.Code(cause) == codes.Canceled {
		return nil
	}

	return fmt.Errorf("stream closed unexpectedly: %w", cause)
}

// dropLocked takes a parent out and routes again what waits for it.
func (s *session) dropLocked(par *parent, cause error, e *effects) {
	s.parents.remove(par)
	s.screen.over(par)
	s.rerouteLocked(par.drain(), cause, false, e)
	par.end()
}

// loseChild tells the tables and routes again what the child leaves, in one step.
func (s *session) loseChild(l *link.Link, cause error) {
	var e effects

	s.mu.Lock()
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
	// Nobody is told again and again that somebody is not there.
	quiet := missed && !l.Opened() && len(parcels) == 0

	s.missLocked(l, cause)

	for _, p := range parcels {
		// Only the table that chose the neighbour knows whether there is another.
		via, _ := p.Via.(*parent)
		s.rerouteLocked([]*link.Parcel{p}, cause, refused[via], &e)
	}
	s.mu.Unlock()

	if !quiet {
		s.witness.lost(l.Peer, cause)
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

// adoptLocked becomes the parent of the nodes that have lost theirs. Otherwise they
// would have to wait for the next packet, and might give up before that comes.
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

// missLocked plans the next attempt to reach a child that has been lost.
func (s *session) missLocked(l *link.Link, cause error) {
	if s.closed || !cutOff(cause) || l.Parting() {
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

// cutOff tells whether the cause of a loss may be something between the two nodes, as
// opposed to the neighbour's own will.
func cutOff(cause error) bool {
	return errors.Is(cause, link.ErrSilent) || errors.Is(cause, link.ErrSetup) ||
		status.Code(cause) == codes.Unavailable
}

// revive makes an attempt to reach a child, unless a packet has done so.
func (s *session) revive(l *link.Link, due func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	via := s.parents.preferred()
	if via == nil || !due() {
		return
	}

	s.witness.fault(contain.Do(func() { s.adoptLocked(via, []mino.Address{l.Peer}) }))

	if s.children.link(l.Key) == nil {
		// The table does not want it yet, or not at all.
		s.missLocked(l, link.ErrSilent)
	}
}
