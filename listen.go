package session

import (
	"errors"
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
	stream, err := streamOf(relay)
	if err != nil {
		s.refuseParent(err)

		return
	}

	par, l := s.addParent(relay, table, true)
	if par == nil {
		return
	}

	announce(ready)
	go s.read(par, l, stream)

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

	// The stream may have broken already. Then the parent has neither that nor anybody else who
	// would notice, and the time goes on that it has for another one.
	if par.grace != nil && !par.link.Broken() {
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

	addr, err := contain.Call(func() (mino.Address, error) { return unwrapAddress(relay.GetDistantAddress()), nil })
	if err != nil {
		s.refuseParent(err)

		return nil, nil
	}

	key, err := keyOf(addr)
	if err != nil {
		s.refuseParent(err)

		return nil, nil
	}

	par := &parent{key: key, addr: addr, table: table, gone: make(chan struct{}), first: make(chan struct{})}
	par.taken = par.first

	if isOrchestrator(addr) {
		par.follower, _ = keyOf(FollowerOf(addr))
	}

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

// streamOf returns the stream of a relay that may not be ours.
func streamOf(relay Relay) (PacketStream, error) {
	if relay == nil {
		return nil, errors.New("no relay")
	}

	return contain.Call(func() (PacketStream, error) { return relay.Stream(), nil })
}

// refuseParent tells why a relay does not become that of a parent.
func (s *session) refuseParent(err error) {
	s.logger.Warn().Err(err).Msg("refused a parent")
	s.fault(err)
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

// isOrdinaryEnd tells whether an existing node has ended a stream of its own will: it cancels
// it, and the connection goes on. Without the connection a stream has the same code.
func isOrdinaryEnd(stream PacketStream, err error) bool {
	connected, ok := stream.(ConnectedStream)
	if !ok || status.Code(err) != codes.Canceled {
		return false
	}

	alive, err := contain.Call(func() (bool, error) { return connected.Connected(), nil })

	return alive && err == nil
}

// read hands on what comes over the parent's stream, until it ends.
func (s *session) read(par *parent, l *link.Link, stream PacketStream) {
	defer s.released()

	for {
		packet, err := recv(stream)
		if err != nil {
			l.Ended()
			s.fault(err)

			if !par.goodbye && isOrdinaryEnd(stream, err) {
				err = io.EOF
			}

			s.loseParent(par, err)

			return
		}

		s.fromStream(l, packet, true)
	}
}
