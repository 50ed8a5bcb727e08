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
	// linkID is that of a duplex link that the parent has dialled, and first what taken
	// is in the beginning.
	linkID string
	first  chan struct{}

	// What follows belongs to the lock of the session.

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

// isSuspect tells whether another parent is preferred. Most parents never were suspect,
// and the clock is not for free.
func (par *parent) isSuspect() bool {
	return !par.suspect.IsZero() && par.suspect.After(time.Now())
}

// GetNumParents implements Session.
func (s *session) GetNumParents() int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return len(s.parents)
}

// Listen implements Session.
func (s *session) Listen(relay Relay, table router.RoutingTable, ready chan struct{}) {
	dup, ok := relay.(*DuplexRelay)

	switch {
	case !ok:
		s.listen(relay, table, ready)
	case dup.Resumes():
		s.listenAgain(dup, ready)
	case !s.noDuplex || isOrchestrator(dup.gw) || dup.opener != nil:
		s.listenDuplex(dup, table, ready)
	}
}

func (s *session) listen(relay Relay, table router.RoutingTable, ready chan struct{}) {
	par, l := s.addParent(relay, table, true)
	if par == nil {
		return
	}

	announce(ready)
	go s.read(par, l, relay.Stream())

	<-par.gone
	<-l.Parted()
}

func announce(ready chan struct{}) {
	if ready != nil {
		close(ready)
	}
}

// listenDuplex is listen for a link that may outlive its stream.
func (s *session) listenDuplex(relay *DuplexRelay, table router.RoutingTable, ready chan struct{}) {
	par, l := s.addParent(relay, table, true)
	if par == nil {
		return
	}

	relay.attach(l)
	announce(ready)
	s.serve(par, l, par.first, relay.wire)
}

// listenAgain goes on with the link of a parent that has opened another stream. It must
// be the same one: who has learned the id of a link does not get its place.
func (s *session) listenAgain(relay *DuplexRelay, ready chan struct{}) {
	// A relay whose address has no text is nobody's.
	key, _ := keyOf(unwrapAddress(relay.GetDistantAddress()))

	s.mu.Lock()
	i := slices.IndexFunc(s.parents, func(par *parent) bool { return par.linkID == relay.offer.id && par.key == key })

	if i < 0 {
		s.mu.Unlock()

		return
	}

	par := s.parents[i]
	l := par.link
	s.alive++
	s.mu.Unlock()

	resumed := l.Resume(relay.wire, relay.offer.epoch, relay.offer.received, func(received uint64) {
		relay.header = s.acceptanceOf(relay, "", received).metadata()
	})

	if !resumed {
		s.released()

		return
	}

	relay.attach(l)
	taken := s.resumed(par, relay.offer.epoch)
	announce(ready)
	s.observeOpened(par.addr)
	s.serve(par, l, taken, relay.wire)
}

// resumed ends the grace of a parent that is back, and the Listen that has waited for
// it. It returns what is closed when the same happens to the next one. That may have
// come already, as the streams are taken into use without the lock.
func (s *session) resumed(par *parent, epoch uint64) (taken chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if epoch < par.epoch {
		over := make(chan struct{})
		close(over)

		return over
	}

	par.epoch = epoch

	if par.grace != nil {
		par.grace.Stop()
		par.grace = nil
	}

	close(par.taken)
	par.taken = make(chan struct{})

	return par.taken
}

// serve reads a stream of a duplex link, and waits until that has been replaced by
// another one or the registration is over.
func (s *session) serve(par *parent, l *link.Link, taken <-chan struct{}, stream link.Stream) {
	go func() {
		defer s.released()

		l.Serve(stream)
	}()

	select {
	case <-taken:
	case <-par.gone:
		<-l.Parted()
	}
}

// SetPassive implements Session.
func (s *session) SetPassive(relay Relay, table router.RoutingTable) {
	if _, ok := relay.(*DuplexRelay); ok {
		s.logger.Warn().Msg("refused a duplex relay that nobody would read")

		return
	}

	s.addParent(relay, table, false)
}

// addParent registers a parent, and returns it with the link over the relay. It returns
// nil when the session is closed or the relay is of no use.
func (s *session) addParent(relay Relay, table router.RoutingTable, reader bool) (*parent, *link.Link) {
	if relay == nil || table == nil {
		return nil, nil
	}

	addr := unwrapAddress(relay.GetDistantAddress())

	key, err := keyOf(addr)
	if err != nil {
		s.logger.Warn().Err(err).Msg("refused a parent")

		return nil, nil
	}

	par := &parent{key: key, addr: addr, table: table, gone: make(chan struct{}), first: make(chan struct{})}
	par.taken = par.first

	switch own := relay.(type) {
	case *DuplexRelay:
		par.linkID = own.offer.id
		par.goodbye = own.opener == nil
	case carrier:
		par.goodbye = own.saysGoodbye()
	}

	var after aftermath

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()

		return nil, nil
	}

	l := s.attach(par, relay)
	par.link = l
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

	return par, l
}

// attach returns the link over the relay of a parent.
func (s *session) attach(par *parent, relay Relay) *link.Link {
	cfg := s.linkConfig(par.addr, par.key)
	cfg.Down = true

	switch own := relay.(type) {
	case *DuplexRelay:
		return link.Attached(cfg, s.relayFrames(own))
	case *streamRelay:
		// One writer and no lanes: the packets leave in the order of the sends.
		cfg.Calls, cfg.PerLane = 1, 0
	}

	cfg.Sticky = true

	return link.Attach(cfg, &relayConn{relay: relay})
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

		s.fromStream(l, packet, true)
	}
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

		return
	}

	after.flush(l)
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
