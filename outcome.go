package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// errCanceled is the code of a session that is closing, as nodes tell it.
var errCanceled = fmt.Errorf("%s: %w", codes.Canceled, ErrClosed)

// errDropped is the cause of a packet that no parent took.
func errDropped(tried int) error {
	return fmt.Errorf("packet is dropped (tried %d parent-s)", tried)
}

// about returns the error for one destination.
func (e *DeliveryError) about(dest mino.Address) *DeliveryError {
	about := *e
	about.Destination = dest

	return &about
}

// failure returns an outcome that this node decides, for any destination.
func (s *session) failure(reason Reason, cause error) *DeliveryError {
	return &DeliveryError{Reason: reason, Hop: s.me, Cause: cause}
}

// aftermath is what a step under the lock leaves to be told when it is free. It
// belongs to the goroutine that makes it.
//
// Most packets go to one link and have one outcome to tell, if any: the first of each
// has a place of its own.
type aftermath struct {
	first    outcome
	outcomes []outcome

	delivered []PacketInfo

	// link and links are those that a packet has been added to, each once.
	link  *link.Link
	links []*link.Link
}

// outcome is that of one destination; a nil err is a delivery.
type outcome struct {
	set *pending.Set
	key string
	err *DeliveryError
}

// fail notes the same outcome for several destinations.
func (a *aftermath) fail(set *pending.Set, keys []string, dests []mino.Address, err *DeliveryError) {
	for i, key := range keys {
		a.settle(outcome{set: set, key: key, err: err.about(dests[i])})
	}
}

// settle notes the outcome of one destination.
func (a *aftermath) settle(o outcome) {
	if a.first.set == nil {
		a.first = o
	} else {
		a.outcomes = append(a.outcomes, o)
	}
}

// flush notes that something has been added to a link.
func (a *aftermath) flush(l *link.Link) {
	switch {
	case a.link == nil:
		a.link = l
	case a.link != l && !slices.Contains(a.links, l):
		a.links = append(a.links, l)
	}
}

// settleAll sends what has been added, and tells what has become known. It is called
// without a lock.
func (s *session) settleAll(after *aftermath) {
	if after.link != nil {
		after.link.Flush()
	}

	for _, l := range after.links {
		l.Flush()
	}

	for _, info := range after.delivered {
		s.observeDelivery(info)
	}

	if first := after.first; first.set != nil {
		s.settle(first.set, first.key, first.err)
	}

	for _, o := range after.outcomes {
		s.settle(o.set, o.key, o.err)
	}
}

// settle tells one outcome, if that is not known already.
func (s *session) settle(set *pending.Set, key string, err *DeliveryError) {
	if err == nil {
		set.Settle(key, nil)

		return
	}

	if set.Settle(key, err) {
		s.dropped(err)
	}
}

// doubt implements pending.Waiter for another copy of a message, of which a copy may have
// arrived already. Nobody can say then that it has been refused: that is a timeout, with
// the refusal as its cause. It passes the outcomes on to where those of the first copy
// would have gone.
type doubt struct {
	set  *pending.Set
	keys []string
}

// Settled implements pending.Waiter.
func (d doubt) Settled(i, _ int, err error) {
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

// settleParcel tells the same failure for all the destinations of a parcel.
func (s *session) settleParcel(p *link.Parcel, err *DeliveryError) {
	var after aftermath

	after.fail(p.Pending, p.Keys, p.Dests, err)
	s.settleAll(&after)
}

// failureOf translates the error that a neighbour's link has for one parcel.
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
