package session

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/contain"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// GetNumParents implements Session.
func (s *session) GetNumParents() int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return len(s.parents)
}

// ErrSuperseded is what [Registration] Wait returns when a newer stream of the same link has
// taken the place of this one. The parent is still registered.
var ErrSuperseded = errors.New("a newer stream of the link has taken the place of this one")

var (
	errNoParent = errors.New("a parent needs a relay and a routing table")
	errUnread   = errors.New("nobody would read the stream of a duplex relay")
	errNoDuplex = errors.New("the session takes no duplex links of players")
	errNoLink   = errors.New("the session does not know the link that the stream goes on with")
)

// Registrar is implemented by the sessions that [NewSession] returns. It is Listen for an
// overlay that wants to know whether the parent was taken.
type Registrar interface {
	// Register registers a parent with its routing table and begins to read the parent's
	// stream. It treats the packets that come over the stream as RecvPacket does. After Register
	// has returned, there is a route, and a [DuplexRelay] has its Header.
	//
	// It returns an error when the parent is not taken; one that wraps [ErrClosed] says that the
	// session is closed. The stream of a relay that [DialRelay] has opened is released then.
	Register(parent Relay, table router.RoutingTable) (*Registration, error)
}

// Registration is that of a parent.
type Registration struct {
	wait func() error
}

// Wait waits until the registration is over or a newer stream of the same link replaces this
// one. It returns nil in the first case, and [ErrSuperseded] in the second: then the parent is
// still registered, and the Registration of the newer stream says when that ends. An overlay must
// not return from the gRPC call of a stream before Wait has returned.
//
// Wait also releases the stream of a relay that [DialRelay] has opened. So it must be called
// for each Registration. Later calls return the same.
func (r *Registration) Wait() error {
	return r.wait()
}

// Listen implements Session.
func (s *session) Listen(relay Relay, table router.RoutingTable, ready chan struct{}) {
	registration, err := s.Register(relay, table)

	if ready != nil {
		close(ready)
	}

	if err == nil {
		_ = registration.Wait()
	}
}

// Register implements Registrar.
func (s *session) Register(relay Relay, table router.RoutingTable) (*Registration, error) {
	wait, err := s.register(relay, table)
	if err != nil {
		s.witness.parentRefused(err)
		// Nobody else knows what the relay holds.
		endStream(relay)

		return nil, err
	}

	return &Registration{wait: sync.OnceValue(func() error {
		defer endStream(relay)

		return wait()
	})}, nil
}

// register returns what waits for the end of the registration or of the stream.
func (s *session) register(relay Relay, table router.RoutingTable) (wait func() error, err error) {
	dup, ok := relay.(*DuplexRelay)

	switch {
	case !ok:
		return s.registerStream(relay, table)
	case dup.Resumes():
		return s.registerAgain(dup)
	case s.noDuplex && !isOrchestrator(dup.gw) && dup.opener == nil:
		return nil, errNoDuplex
	default:
		return s.registerDuplex(dup, table)
	}
}

// registerStream registers a parent that ends with its stream.
func (s *session) registerStream(relay Relay, table router.RoutingTable) (wait func() error, err error) {
	stream, err := streamOf(relay)
	if err != nil {
		return nil, err
	}

	par, l, err := s.addParent(relay, table, true)
	if err != nil {
		return nil, err
	}

	go s.read(par, l, stream)

	return func() error { return par.listen(nil, l) }, nil
}

// registerDuplex registers a parent whose link may outlive its stream.
func (s *session) registerDuplex(relay *DuplexRelay, table router.RoutingTable) (wait func() error, err error) {
	par, l, err := s.addParent(relay, table, true)
	if err != nil {
		return nil, err
	}

	relay.attach(l)
	// Nobody else has the relay before this returns, so that no other stream has come.
	first := par.superseded

	go s.serve(l, relay.wire)

	return func() error { return par.listen(first, l) }, nil
}

// registerAgain goes on with the link of a parent that has opened another stream. It must be the
// same parent: another one that has learned the id of the link does not get its place.
func (s *session) registerAgain(relay *DuplexRelay) (wait func() error, err error) {
	// A relay whose address has no text is nobody's.
	key, _ := keyOf(unwrapAddress(relay.GetDistantAddress()))

	s.mu.Lock()
	par := s.parents.byLinkID(relay.offer.ID, key)

	if par == nil {
		s.mu.Unlock()

		return nil, errNoLink
	}

	l := par.link
	s.alive++
	s.mu.Unlock()

	resumed := l.Resume(relay.wire, relay.offer.Epoch, relay.offer.Received, func(received uint64) {
		relay.header = s.framing.acceptance(relay, "", received)
	})

	if !resumed {
		s.released()

		return nil, errNoLink
	}

	relay.attach(l)
	superseded := s.resumed(par, relay.offer.Epoch)
	s.witness.opened(par.addr)

	go s.serve(l, relay.wire)

	return func() error { return par.listen(superseded, l) }, nil
}

// listen waits for the end of a registration, or until its stream has been replaced.
func (par *parent) listen(superseded <-chan struct{}, l *link.Link) error {
	select {
	case <-superseded:
		return ErrSuperseded
	case <-par.over:
		<-l.Parted()

		return nil
	}
}

// resumed notes that a parent is back. It returns what is closed when the next stream of the
// link takes the place of this one.
func (s *session) resumed(par *parent, epoch uint64) (superseded <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()

	superseded = par.resume(epoch)

	if len(s.parents) > 1 {
		// What was for it is on its way through the others, and is not to be overtaken.
		par.doubt(time.Now().Add(suspicion))
	}

	return superseded
}

// serve reads a stream of a duplex link until that ends.
func (s *session) serve(l *link.Link, stream link.Stream) {
	defer s.released()

	l.Serve(stream)
}

// SetPassive implements Session.
func (s *session) SetPassive(relay Relay, table router.RoutingTable) {
	if _, ok := relay.(*DuplexRelay); ok {
		s.witness.parentRefused(errUnread)
		endStream(relay)

		return
	}

	_, _, err := s.addParent(relay, table, false)
	if err != nil {
		s.witness.parentRefused(err)
		endStream(relay)
	}
}

// addParent registers a parent, and returns it with the link over the relay.
func (s *session) addParent(relay Relay, table router.RoutingTable, reader bool) (*parent, *link.Link, error) {
	if relay == nil || table == nil {
		return nil, nil, errNoParent
	}

	addr, err := contain.Call(func() (mino.Address, error) { return unwrapAddress(relay.GetDistantAddress()), nil })
	if err != nil {
		return nil, nil, err
	}

	key, err := keyOf(addr)
	if err != nil {
		return nil, nil, err
	}

	par := &parent{key: key, addr: addr, table: table}

	if isOrchestrator(addr) {
		par.follower, _ = keyOf(FollowerOf(addr))
	}

	switch own := relay.(type) {
	case *DuplexRelay:
		par.linkID = own.offer.ID
		par.goodbye = own.opener == nil
	case carrier:
		par.goodbye = own.saysGoodbye()
	}

	var e effects

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()

		return nil, nil, fmt.Errorf("session: %w", ErrClosed)
	}

	l := s.attach(par, relay)
	par.attach(l)

	s.alive++

	if reader {
		s.alive++
	}

	for _, old := range s.parents.add(par) {
		s.dropLocked(old, errReplaced, &e)
	}
	s.mu.Unlock()

	s.reporter.carryOut(&e)
	s.witness.opened(addr)

	return par, l, nil
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
		return link.Attached(cfg, s.framing.relayed(own))
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
