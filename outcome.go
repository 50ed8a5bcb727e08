package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"google.golang.org/grpc/codes"
)

// errCanceled is what nodes say about a session that is closing. The text begins with the code.
var errCanceled = fmt.Errorf("%s: %w", codes.Canceled, ErrClosed)

// endError is errCanceled with why the session has ended. The text of the cause, which may not be
// ours, is made when somebody asks for it.
type endError struct {
	cause error
}

// Error implements error.
func (e endError) Error() string { return fmt.Sprintf("%v: %v", errCanceled, e.cause) }

// Unwrap returns what the error says twice: that the session is closed, and why.
func (e endError) Unwrap() []error { return []error{errCanceled, e.cause} }

// errDropped is the cause of a packet that no parent took.
func errDropped(tried int) error {
	return fmt.Errorf("packet is dropped (tried %d parent-s)", tried)
}

// about returns a copy of the error for one destination.
func (e *DeliveryError) about(dest mino.Address) *DeliveryError {
	about := *e
	about.Destination = dest

	return &about
}

// doubted returns what an error means for a destination when another copy of the message is out
// of sight: nobody knows whether that one arrives. The loss of that copy is the cause then.
func (e *DeliveryError) doubted(loss error, me mino.Address) *DeliveryError {
	if e.Reason == ReasonTimeout {
		return e
	}

	cause := e.Cause
	if !errors.Is(cause, loss) {
		cause = fmt.Errorf("%w; another copy: %w", loss, cause)
	}

	return &DeliveryError{Destination: e.Destination, Reason: ReasonTimeout, Hop: me, Cause: cause}
}

// effects is what a step under the lock leaves to do when the lock is free: links to flush,
// and outcomes to tell. It belongs to the goroutine that takes the step.
//
// Most packets go to one link and have at most one outcome to tell. So the first link and
// the first outcome have fields of their own, which need no allocation.
type effects struct {
	first    outcome
	outcomes []outcome

	// delivered is empty when no observer asks for it.
	delivered []PacketInfo

	// heard are the losses of nodes that others have told.
	heard []hearsay

	// link and links are those that a packet was added to, each once.
	link  *link.Link
	links []*link.Link
	// added counts what was added to links.
	added int
}

// hearsay is a loss that another node has told, with the version of the news.
type hearsay struct {
	Loss

	version uint64
}

// outcome is what became of one destination. A nil err is a delivery.
type outcome struct {
	set *pending.Set
	key string
	err *DeliveryError
}

// note notes the outcome of one destination.
func (e *effects) note(o outcome) {
	if e.first.set == nil {
		e.first = o
	} else {
		e.outcomes = append(e.outcomes, o)
	}
}

// fail notes the same failure for several destinations.
func (e *effects) fail(set *pending.Set, keys []string, dests []mino.Address, err *DeliveryError) {
	for i, key := range keys {
		e.note(outcome{set: set, key: key, err: err.about(dests[i])})
	}
}

// failDest notes the failure of one destination.
func (e *effects) failDest(set *pending.Set, dest mino.Address, err *DeliveryError) {
	e.note(outcome{set: set, key: mustKey(dest), err: err.about(dest)})
}

// failPacket notes the same failure for all destinations of a packet.
func (e *effects) failPacket(set *pending.Set, packet router.Packet, err *DeliveryError) {
	for _, dest := range packet.GetDestination() {
		e.failDest(set, dest, err)
	}
}

// errAdopted is the cause of a loss that an adoption tells.
var errAdopted = errors.New("another node has adopted this one, which lost its parent")

// adopted notes what it means that another parent comes: that parent has lost the one before.
func (e *effects) adopted(before, now *parent) {
	if before != nil && before.key != now.key {
		loss := Loss{Node: before.addr, From: now.addr, Cause: errAdopted}
		e.heard = append(e.heard, hearsay{loss, uint64(time.Now().UnixNano())})
	}
}

// hear notes the loss of a player that news tell.
func (e *effects) hear(in arrival) {
	n := in.news
	if n.GetState() == ptypes.PlayerState_PLAYER_STATE_LOST {
		loss := Loss{Node: AddressFactory{}.FromText(n.GetPlayer()), From: in.addr, Cause: errors.New(n.GetText())}
		e.heard = append(e.heard, hearsay{loss, n.GetVersion()})
	}
}

// flush notes that something has been added to a link.
func (e *effects) flush(l *link.Link) {
	e.added++

	switch {
	case e.link == nil:
		e.link = l
	case e.link != l && !slices.Contains(e.links, l):
		e.links = append(e.links, l)
	}
}

// outcomes implements pending.Waiter with the channel of a Send, which has room for all.
type outcomes chan error

// Settled implements pending.Waiter.
func (c outcomes) Settled(_, left int, err error) {
	if err != nil {
		c <- err
	}

	if left == 0 {
		close(c)
	}
}
