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

// suspicion is how long a parent that did not take a packet is used only when
// there is no other. Its stream tells whether it is lost.
const suspicion = time.Second

// maxPostponed is how often a packet that no parent takes waits for the end of the
// suspicion, before it is given up.
const maxPostponed = 3

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

	// What follows belongs to the lock of the session.

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

// Listen implements Session.
func (s *session) Listen(relay Relay, table router.RoutingTable, ready chan struct{}) {
	par := s.addParent(relay, table, true)
	if par == nil {
		return
	}

	if ready != nil {
		close(ready)
	}

	first := par.link
	go s.read(par, first, relay.Stream())

	<-par.gone
	<-first.Parted()
}

// SetPassive implements Session.
func (s *session) SetPassive(relay Relay, table router.RoutingTable) {
	s.addParent(relay, table, false)
}

// addParent registers a parent. It returns nil when the session is closed or the
// relay is of no use.
func (s *session) addParent(relay Relay, table router.RoutingTable, reader bool) *parent {
	if relay == nil || table == nil {
		return nil
	}

	addr := unwrapAddress(relay.GetDistantAddress())

	key, err := keyOf(addr)
	if err != nil {
		s.logger.Warn().Err(err).Msg("refused a parent")

		return nil
	}

	own, ok := relay.(carrier)
	par := &parent{
		key:     key,
		addr:    addr,
		table:   table,
		goodbye: ok && own.saysGoodbye(),
		gone:    make(chan struct{}),
	}

	var after aftermath

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()

		return nil
	}

	par.link = link.Attach(s.parentConfig(par, relay), &relayConn{relay: relay})
	s.alive++

	if reader {
		s.alive++
	}

	before := slices.Clone(s.parents)
	s.parents = append(s.parents, par)

	for _, old := range before {
		if old.key == key || old.grace != nil {
			s.dropLocked(old, errReplaced, &after)
		}
	}
	s.mu.Unlock()

	s.settleAll(&after)
	s.observeOpened(addr)

	return par
}

func (s *session) parentConfig(par *parent, relay Relay) link.Config {
	cfg := s.linkConfig(par.addr, par.key)
	cfg.Sticky = true

	_, stream := relay.(*streamRelay)
	if stream {
		// One writer and no lanes: the packets leave in the order of the sends.
		cfg.Calls, cfg.PerLane = 1, 0
	}

	return cfg
}

// read hands on what comes over the parent's stream, until it ends.
func (s *session) read(par *parent, l *link.Link, stream PacketStream) {
	defer s.released()

	for {
		packet, err := recv(stream)
		if err != nil {
			l.Ended()
			s.fault(err)
			s.loseParent(par, err)

			return
		}

		l.Take(func() { s.fromStream(l, packet, true) })
	}
}

// loseParent ends a registration, unless that has happened. The session goes on
// with the other parents. With the last one it closes, or becomes an orphan.
func (s *session) loseParent(par *parent, cause error) {
	var after aftermath

	s.mu.Lock()
	if !slices.Contains(s.parents, par) {
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
		s.queue.closeWith(endOf(cause))
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

// orphanLocked gives the session some time to be adopted. Until then it goes by the
// table of the parent that it has lost, and what is for the parent waits.
func (s *session) orphanLocked(par *parent, cause error, after *aftermath) {
	waiting := par.drain()
	par.link.Close()
	par.link = s.parkLocked(par)
	par.grace = time.AfterFunc(s.grace, func() { s.loseParent(par, cause) })
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

func (par *parent) closeLimbo() {
	par.again.Stop()
	par.limbo.Close()
	par.limbo = nil
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

// parentFailed routes a parcel again that a parent did not take. The parent stays
// one: its stream tells whether it is lost.
func (s *session) parentFailed(l *link.Link, p *link.Parcel, cause error) {
	var after aftermath

	h := p.Header
	h.Failed = append(slices.Clone(p.Failed), l.Key)

	now, news := time.Now(), false

	s.mu.Lock()
	par := s.parentLocked(l.Key)

	if par != nil && par.link == l {
		news = par.suspect.Before(now)
		par.suspect = now.Add(suspicion)
	}

	switch {
	case s.noRetry && !s.closed:
		// It was handed over, and whether it arrived nobody knows.
		after.fail(h.Pending, p.Keys, p.Dests, s.failure(ReasonTimeout, cause))
	case s.postponableLocked(par, h):
		s.postponeLocked(par, p, cause, &after)
	default:
		s.againLocked(h, p, cause, &after)
	}
	s.mu.Unlock()

	if news {
		s.observeLost(l.Peer, cause)
	}

	s.settleAll(&after)
}

// postponableLocked tells whether a packet that a parent did not take should wait for
// what its stream tells. The calls to a lost node often fail first.
func (s *session) postponableLocked(par *parent, h link.Header) bool {
	return par != nil && par.goodbye && h.Attempts < maxPostponed && s.pickParentLocked(h) == nil
}

// postponeLocked keeps a parcel for a parent that did not take it.
func (s *session) postponeLocked(par *parent, p *link.Parcel, cause error, after *aftermath) {
	l := par.link

	if par.grace == nil {
		if par.limbo == nil {
			par.limbo = s.parkLocked(par)
			par.again = time.AfterFunc(suspicion, func() { s.retry(par) })
		}

		l = par.limbo
	}

	h := p.Header
	h.Lost = cause

	err := l.Add(&link.Parcel{Header: h, Packet: p.Packet, Dests: p.Dests, Keys: p.Keys})
	if err != nil {
		after.fail(h.Pending, p.Keys, p.Dests, s.failure(ReasonOverflow, err))
	}
}

// retry routes again what has been postponed.
func (s *session) retry(par *parent) {
	var after aftermath

	s.mu.Lock()
	if par.limbo != nil {
		waiting := par.limbo.Drain()
		par.closeLimbo()

		for _, p := range waiting {
			s.rerouteLocked([]*link.Parcel{p}, p.Lost, false, &after)
		}
	}
	s.mu.Unlock()

	s.settleAll(&after)
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
