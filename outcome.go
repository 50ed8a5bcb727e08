package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errCanceled is what nodes say about a session that is closing. It begins with the code.
var errCanceled = fmt.Errorf("%s: %w", codes.Canceled, ErrClosed)

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

// failure returns an outcome that this node decides, for any destination.
func (s *session) failure(reason Reason, cause error) *DeliveryError {
	return &DeliveryError{Reason: reason, Hop: s.me, Cause: cause}
}

// effects is what a step under the lock leaves to be told when the lock is free. It belongs
// to the goroutine that takes the step.
//
// Most packets go to one link and have at most one outcome to tell. So the first link and
// the first outcome have places of their own, which take no memory.
type effects struct {
	first    outcome
	outcomes []outcome

	// delivered is empty when no observer asks for it.
	delivered []PacketInfo

	// link and links are those that a packet was added to, each once.
	link  *link.Link
	links []*link.Link
}

// aftermath is what the files about parents and children still call effects.
type aftermath = effects

// outcome is what became of one destination. A nil err is a delivery.
type outcome struct {
	set *pending.Set
	key string
	err *DeliveryError
}

// fail notes the same outcome for several destinations.
func (e *effects) fail(set *pending.Set, keys []string, dests []mino.Address, err *DeliveryError) {
	for i, key := range keys {
		e.note(outcome{set: set, key: key, err: err.about(dests[i])})
	}
}

// note notes the outcome of one destination.
func (e *effects) note(o outcome) {
	if e.first.set == nil {
		e.first = o
	} else {
		e.outcomes = append(e.outcomes, o)
	}
}

// flush notes that something has been added to a link.
func (e *effects) flush(l *link.Link) {
	switch {
	case e.link == nil:
		e.link = l
	case e.link != l && !slices.Contains(e.links, l):
		e.links = append(e.links, l)
	}
}

// settleAll makes the links send what was added to them, and tells what has become known.
// The caller holds no lock.
func (s *session) settleAll(after *effects) {
	if after.link != nil {
		after.link.Flush()
	}

	for _, l := range after.links {
		l.Flush()
	}

	for _, info := range after.delivered {
		s.witness.delivered(info, s.queue)
	}

	if first := after.first; first.set != nil {
		s.settle(first.set, first.key, first.err)
	}

	for _, o := range after.outcomes {
		s.settle(o.set, o.key, o.err)
	}
}

// settle tells one outcome, unless the outcome of that destination is known already.
func (s *session) settle(set *pending.Set, key string, err *DeliveryError) {
	if err == nil {
		set.Settle(key, nil)

		return
	}

	if set.Settle(key, err) {
		s.witness.dropped(err)
	}
}

// step runs a part of the way of a packet under the lock, in which the routing table
// and the packet are called. After a panic it settles whatever the part has left open.
func (s *session) step(set *pending.Set, keys []string, dests []mino.Address, after *effects, run func()) {
	err := contain.Do(run)
	if err != nil {
		s.witness.fault(err)
		after.fail(set, keys, dests, s.failure(ReasonRejected, err))
	}
}

// maybeDelivered implements pending.Waiter for another copy of a message, when an earlier
// copy may have been delivered. Then nobody can say that the message was refused: a refusal
// of this copy becomes a timeout, with the refusal as its cause. Outcomes go on to the set
// that the earlier copy settled.
type maybeDelivered struct {
	set  *pending.Set
	keys []string
}

// Settled implements pending.Waiter.
func (d maybeDelivered) Settled(i, _ int, err error) {
	failure, ok := errors.AsType[*DeliveryError](err)
	if ok && failure.Reason.isRefusal() {
		// Each destination has an error of its own, which nobody else has seen.
		failure.Reason = ReasonTimeout
	}

	d.set.Settle(d.keys[i], err)
}

// isRefusal tells whether the reason says that the message was not delivered.
func (r Reason) isRefusal() bool {
	return r == ReasonNoRoute || r == ReasonOverflow || r == ReasonRejected
}

// settleParcel tells the same failure for each destination of a parcel.
func (s *session) settleParcel(p *link.Parcel, err *DeliveryError) {
	var after effects

	after.fail(p.Pending, p.Keys, p.Dests, err)
	s.settleAll(&after)
}

// failureOf translates the error of a link about one parcel.
func (s *session) failureOf(err error) *DeliveryError {
	code := status.Code(err)

	switch {
	case errors.Is(err, link.ErrClosed):
		return s.failure(ReasonClosed, errCanceled)
	case errors.Is(err, link.ErrPacket), code == codes.InvalidArgument:
		return s.failure(ReasonRejected, err)
	case errors.Is(err, link.ErrExpired), errors.Is(err, context.DeadlineExceeded), code == codes.DeadlineExceeded:
		return s.failure(ReasonTimeout, err)
	case code == codes.ResourceExhausted:
		return s.failure(ReasonOverflow, err)
	default:
		return s.failure(ReasonUnreachable, err)
	}
}
