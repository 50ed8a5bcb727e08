package session

import (
	"errors"
	"sync"

	"github.com/minogrpc/session/router"
)

// GetNumParents implements Session.
func (s *session) GetNumParents() int {
	s.mu.Lock()
	defer s.mu.Unlock()

	return len(s.parents)
}

// ErrSuperseded is what [Registration] Wait returns when a newer stream of the same link has
// replaced this one. The parent is still registered.
var ErrSuperseded = errors.New("a newer stream of the link has taken the place of this one")

var (
	errNoParent   = errors.New("a parent needs a relay and a routing table")
	errRegistered = errors.New("the relay has been registered before")
	errUnread     = errors.New("nobody would read the stream of a duplex relay")
	errNoDuplex   = errors.New("the session takes no duplex links of players")
	errNoLink     = errors.New("the session does not know the link that the stream goes on with")
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

// Registration is one stream of a registered parent.
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
	if dup, ok := relay.(*DuplexRelay); ok {
		// Nothing of it may be released: it has nothing, or belongs to another registration.
		if err := dup.claim(); err != nil {
			s.witness.parentRefused(err)

			return nil, err
		}
	}

	wait, err := s.register(relay, table)
	if err != nil {
		s.witness.parentRefused(err)
		// Nobody else can release the stream of the relay.
		endStream(relay)

		return nil, err
	}

	return &Registration{wait: sync.OnceValue(func() error {
		defer endStream(relay)

		return wait()
	})}, nil
}

// register returns a function that waits for the end of the registration or of the stream.
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
