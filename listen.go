package session

import (
	"errors"
	"fmt"
	"sync"

	"github.com/minogrpc/session/internal/link"
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

// ErrSuperseded is returned by [Registration] Wait when a newer stream of the same link has
// replaced this one. The parent is still registered.
var ErrSuperseded = errors.New("a newer stream of the link has taken the place of this one")

// unheard is the text of the status with which a node ends a stream over which it has heard nothing
// for too long. It is part of the wire.
const unheard = "silent"

// ErrGivenUp is wrapped by the error of [Registration] Wait when the session has given up the
// stream, because nothing came over it or it took nothing. The error has the gRPC status
// Unavailable. The overlay ends the stream with that status, so that the parent knows at once and
// opens the next stream of the link. The parent is still registered.
var ErrGivenUp = errors.New("the stream has been given up")

// givenUpError implements ErrGivenUp with the status.
type givenUpError struct{ cause error }

// Error implements error.
func (e givenUpError) Error() string { return fmt.Sprintf("%v: %v", ErrGivenUp, e.cause) }

// Unwrap lets errors.Is find both.
func (e givenUpError) Unwrap() []error { return []error{ErrGivenUp, e.cause} }

// GRPCStatus is how gRPC finds the status of an error.
func (e givenUpError) GRPCStatus() *status.Status {
	if errors.Is(e.cause, link.ErrSilent) {
		return status.New(codes.Unavailable, unheard)
	}

	return status.New(codes.Unavailable, e.Error())
}

var (
	errNoParent   = errors.New("a parent needs a relay and a routing table")
	errRegistered = errors.New("the relay has been registered before")
	errUnread     = errors.New("nobody would read the stream of a duplex relay")
	errNoDuplex   = errors.New("the session takes no duplex links of players")
	errTerms      = errors.New("the frames that come at once are not as this session would have agreed to")
	errNoLink     = errors.New("the session does not know the link that the stream goes on with")
)

// Registrar is implemented by the sessions that [NewSession] returns. Its Register does what Listen
// does, for an overlay that needs to know whether the session took the parent.
type Registrar interface {
	// Register registers a parent with its routing table and begins to read the parent's stream. It
	// treats the packets that come over the stream as RecvPacket does. After Register has returned,
	// there is a route, and a [DuplexRelay] has its Header.
	//
	// Register returns an error when the session does not take the parent; one that wraps
	// [ErrClosed] says that the session is closed. In that case it releases the stream of a relay
	// that [DialRelay] has opened.
	Register(parent Relay, table router.RoutingTable) (*Registration, error)
}

// Registration is one stream of a registered parent.
type Registration struct {
	occupancy

	relay Relay
	// once guards err, which is the result of Wait.
	once sync.Once
	err  error
}

// Wait waits until the registration is over, the session gives up the stream, or a newer stream of
// the same link replaces this one. It returns nil in the first case, an error that wraps
// [ErrGivenUp] in the second, and [ErrSuperseded] in the third. In the last two cases the parent is
// still registered: the Registration of the newest stream, or WaitEnd, says when the registration
// ends. An overlay must not return from the gRPC call of a stream before Wait has returned. Once
// Wait has returned, the overlay must return, and with the error if that wraps ErrGivenUp.
//
// Wait also releases the stream of a relay that [DialRelay] has opened. So the overlay must call it
// for each Registration. Later calls return the same result.
func (r *Registration) Wait() error {
	r.once.Do(func() {
		defer endStream(r.relay)

		r.err = r.wait()
	})

	return r.err
}

// WaitEnd is Wait, but goes on after the session has given up the stream, until the registration is
// over or a newer stream replaces this one. An overlay that counts the parents of a stream lowers
// that count only after WaitEnd has returned. WaitEnd may be called only after Wait.
func (r *Registration) WaitEnd() error {
	return r.waitEnd()
}

// occupancy is what waits for the end of a registration or of its stream.
type occupancy struct {
	par    *parent
	link   *link.Link
	stream *parentStream
}

// wait waits until the registration has ended, the session has given up the stream, or a newer
// one has replaced it.
func (o occupancy) wait() error {
	select {
	case <-o.stream.givenUp:
		return givenUpError{o.stream.cause}
	case <-o.stream.superseded:
		return ErrSuperseded
	case <-o.par.over:
		<-o.link.Parted()

		return nil
	}
}

// waitEnd waits until the registration has ended, or a newer stream has replaced this one.
func (o occupancy) waitEnd() error {
	select {
	case <-o.stream.superseded:
		return ErrSuperseded
	case <-o.par.over:
		<-o.link.Parted()

		return nil
	}
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
	if dup, ok := relay.(*DuplexRelay); ok {
		// Nothing of it may be released: it has nothing, or belongs to another registration.
		if err := dup.claim(); err != nil {
			s.witness.parentRefused(err)

			return nil, err
		}
	}

	o, err := s.register(relay, table)
	if err != nil {
		s.witness.parentRefused(err)
		// Nobody else can release the stream of the relay.
		endStream(relay)

		return nil, err
	}

	return &Registration{occupancy: o, relay: relay}, nil
}

// register returns what waits for the end of the registration or of the stream.
func (s *session) register(relay Relay, table router.RoutingTable) (occupancy, error) {
	dup, ok := relay.(*DuplexRelay)

	switch {
	case !ok:
		return s.registerStream(relay, table)
	case dup.Resumes():
		return s.registerAgain(dup)
	case s.noDuplex && !isOrchestrator(dup.gw) && dup.opener == nil:
		return occupancy{}, errNoDuplex
	case dup.offer.Early && !s.framing.binds(dup.offer):
		return occupancy{}, errTerms
	default:
		return s.registerDuplex(dup, table)
	}
}

// SetPassive implements Session.
func (s *session) SetPassive(relay Relay, table router.RoutingTable) {
	if dup, ok := relay.(*DuplexRelay); ok {
		s.witness.parentRefused(errUnread)

		if dup.claim() == nil {
			endStream(relay)
		}

		return
	}

	_, _, err := s.addParent(relay, table, false)
	if err != nil {
		s.witness.parentRefused(err)
		endStream(relay)
	}
}
