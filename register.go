package session

import (
	"fmt"
	"io"
	"slices"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// registerStream registers a parent whose registration ends with its stream.
func (s *session) registerStream(relay Relay, table router.RoutingTable) (occupancy, error) {
	stream, err := streamOf(relay)
	if err != nil {
		return occupancy{}, err
	}

	par, l, err := s.addParent(relay, table, true)
	if err != nil {
		return occupancy{}, err
	}

	go s.read(par, l, stream)

	return occupancy{par, l, par.first}, nil
}

// registerDuplex registers a parent whose link may outlive its stream.
func (s *session) registerDuplex(relay *DuplexRelay, table router.RoutingTable) (occupancy, error) {
	par, l, err := s.addParent(relay, table, true)
	if err != nil {
		return occupancy{}, err
	}

	relay.attach(l)

	go s.serve(l, relay.wire)

	// The next stream of the link may have come already.
	return occupancy{par, l, par.first}, nil
}

// registerAgain goes on with the link of a parent that has opened another stream. It checks the
// address as well: another node may have learned the id of the link, and must not resume it.
func (s *session) registerAgain(relay *DuplexRelay) (occupancy, error) {
	// No link has the key of an address without a text, which is empty.
	key, _ := keyOf(unwrapAddress(relay.GetDistantAddress()))

	s.mu.Lock()
	par := s.parents.byLinkID(relay.offer.ID, key)

	if par == nil {
		s.mu.Unlock()

		return occupancy{}, errNoLink
	}

	l := par.link
	wait := s.waitFor(par)
	s.alive++
	s.mu.Unlock()

	resumed := l.Resume(relay.wire, relay.offer.Epoch, relay.offer.Received, func(received uint64) {
		relay.header = metadata.Pairs(LinkKey, s.framing.acceptance(relay, "", received, wait).Value())
	})

	if !resumed {
		s.ended()

		return occupancy{}, errNoLink
	}

	relay.attach(l)
	stream := s.resumed(par, relay.offer.Epoch)
	s.witness.resumed(par.addr)

	go s.serve(l, relay.wire)

	return occupancy{par, l, stream}, nil
}

// resumed notes that a parent is back, over another stream.
func (s *session) resumed(par *parent, epoch uint64) *parentStream {
	var e effects

	s.mu.Lock()
	stream := par.resume(epoch)
	s.turnLocked(nil, &e)
	s.mu.Unlock()

	s.reporter.carryOut(&e)

	return stream
}

// serve reads a stream of a duplex link until that ends.
func (s *session) serve(l *link.Link, stream link.Stream) {
	defer s.ended()

	l.Serve(stream)
}

// addParent registers a parent, and returns it with the link over the relay. A session that reads
// the stream of the parent counts its reader, too.
func (s *session) addParent(relay Relay, table router.RoutingTable, reader bool) (*parent, *link.Link, error) {
	if relay == nil || table == nil {
		return nil, nil, errNoParent
	}

	par, err := newParent(relay, table)
	if err == nil {
		err = s.charge(par)
	}

	if err != nil {
		return nil, nil, err
	}

	var e effects

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		par.uncharge()

		return nil, nil, fmt.Errorf("session: %w", ErrClosed)
	}

	l := s.attach(par, relay)
	par.attach(l)

	s.alive++

	if reader {
		s.alive++
	}

	e.adopted(s.parents.preferred(), par)

	all, replaced := s.parents.add(par)
	s.parents = all
	// A node that adopts this one has lost the parent before, even if that is still here.
	s.parents.choose(par)

	for _, old := range replaced {
		s.dropLocked(old, errReplaced, &e)
	}

	s.turnLocked(nil, &e)
	s.rootReachedLocked(par.addr)
	s.repeatReportsLocked(&e)
	s.mu.Unlock()

	s.reporter.carryOut(&e)
	s.witness.opened(par.addr)

	return par, l, nil
}

// newParent returns the parent at the other end of a relay, without a link.
func newParent(relay Relay, table router.RoutingTable) (*parent, error) {
	addr, err := contain.Call(func() (mino.Address, error) { return unwrapAddress(relay.GetDistantAddress()), nil })
	if err != nil {
		return nil, err
	}

	key, err := keyOf(addr)
	if err != nil {
		return nil, err
	}

	par := &parent{key: key, addr: addr, table: table}
	par.oneWay, _ = table.(router.NextHop)
	par.maker, _ = table.(router.Maker)

	if isOrchestrator(addr) {
		par.follower, _ = keyOf(FollowerOf(addr))
	}

	switch own := relay.(type) {
	case *DuplexRelay:
		par.linkID = own.offer.ID
		par.goodbye, par.root = own.opener == nil, own.root
	case carrier:
		par.goodbye, par.root = own.saysGoodbye(), own.isRoot()
	}

	return par, nil
}

// charge takes the memory of the table from the share of the parent, until the registration ends.
func (s *session) charge(par *parent) error {
	weight, err := contain.Call(func() (int, error) { return weightOf(par.table), nil })
	if err != nil {
		return err
	}

	release, ok := s.budget.ReserveFor(par.addr, weight)
	if !ok {
		return fmt.Errorf("routing table of %d bytes: %w", weight, ErrMemory)
	}

	par.uncharge = release

	return nil
}

// weightOf returns what a table takes in memory, as far as it tells.
func weightOf(table router.RoutingTable) int {
	weighted, ok := table.(router.Weighted)
	if !ok {
		return 0
	}

	return max(weighted.Weight(), 0)
}

// streamOf returns the stream of a relay that may not be ours.
func streamOf(relay Relay) (PacketStream, error) {
	if relay == nil {
		return nil, errNoParent
	}

	return contain.Call(func() (PacketStream, error) { return relay.Stream(), nil })
}

// attach returns the link over the relay of a parent.
func (s *session) attach(par *parent, relay Relay) *link.Link {
	cfg := s.linkConfig(par.addr, par.key)
	cfg.Down = true

	switch own := relay.(type) {
	case *DuplexRelay:
		if own.opener != nil {
			cfg.Dials = s.turnsLocked()
		}

		if own.opener != nil && isOrchestrator(s.me) {
			cfg.Patience = s.rootPatience()
		}

		frames := s.framing.relayed(own, s.waitFor(par), s.nextTenureLocked())
		cfg.News = slices.Contains(frames.Can, link.CanNews)

		return link.Attached(cfg, frames)
	case carrier:
		cfg.News = own.takesNews()
	}

	if _, ok := relay.(*streamRelay); ok {
		// One writer and no lanes: the packets leave in the order of the sends.
		cfg.Calls, cfg.PerLane = 1, 0
	}

	cfg.Sticky = true

	return link.Attach(cfg, &relayConn{relay: relay, release: func() { endStream(relay) }})
}

// isOrdinaryEnd tells whether an existing node has ended a stream on purpose. It cancels the
// stream then, and the connection stays open. After the loss of the connection the code is the
// same.
func isOrdinaryEnd(stream PacketStream, err error) bool {
	connected, ok := stream.(ConnectedStream)
	if !ok || status.Code(err) != codes.Canceled {
		return false
	}

	alive, err := contain.Call(func() (bool, error) { return connected.Connected(), nil })

	return alive && err == nil
}

// read receives the packets of the parent's stream until that ends.
func (s *session) read(par *parent, l *link.Link, stream PacketStream) {
	defer s.ended()

	for {
		packet, err := recv(stream)
		if err != nil {
			l.Ended()
			s.witness.fault(err)

			if !par.goodbye && isOrdinaryEnd(stream, err) {
				err = io.EOF
			}

			s.loseParent(par, err)

			return
		}

		s.fromStream(l, packet, true)
	}
}
