package session

import (
	"time"

	"slices"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/router"
)

// Listen implements Session.
func (s *session) Listen(relay Relay, table router.RoutingTable, ready chan struct{}) {
	// Also one that has not become a parent: nobody else knows what it holds.
	defer endStream(relay)

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
	i := slices.IndexFunc(s.parents, func(par *parent) bool { return par.linkID == relay.offer.ID && par.key == key })

	if i < 0 {
		s.mu.Unlock()

		return
	}

	par := s.parents[i]
	l := par.link
	s.alive++
	s.mu.Unlock()

	resumed := l.Resume(relay.wire, relay.offer.Epoch, relay.offer.Received, func(received uint64) {
		relay.header = s.acceptanceOf(relay, "", received)
	})

	if !resumed {
		s.released()

		return
	}

	relay.attach(l)
	taken := s.resumed(par, relay.offer.Epoch)
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

	if len(s.parents) > 1 {
		// What was for it is on its way through the others, and is not to be overtaken.
		par.suspect = time.Now().Add(suspicion)
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
		endStream(relay)

		return
	}

	par, _ := s.addParent(relay, table, false)
	if par == nil {
		endStream(relay)
	}
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
		par.linkID = own.offer.ID
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

	return link.Attach(cfg, &relayConn{relay: relay, release: func() { endStream(relay) }})
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
