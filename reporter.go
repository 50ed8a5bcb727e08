package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// reporter makes the outcomes that this node decides, and settles destinations. It has no
// state: it only knows this node, and the witness of its session.
type reporter struct {
	me      mino.Address
	meKey   string
	witness *witness
}

// failure returns an outcome that this node decides, for any destination.
func (r *reporter) failure(reason Reason, cause error) *DeliveryError {
	return &DeliveryError{Reason: reason, Hop: r.me, Cause: cause}
}

// failureOf translates the error of a link about one parcel.
func (r *reporter) failureOf(err error) *DeliveryError {
	code := status.Code(err)

	switch {
	case errors.Is(err, link.ErrClosed):
		return r.failure(ReasonClosed, errCanceled)
	case errors.Is(err, link.ErrPacket), code == codes.InvalidArgument:
		return r.failure(ReasonRejected, err)
	case errors.Is(err, link.ErrExpired), errors.Is(err, link.ErrAnswer),
		errors.Is(err, context.DeadlineExceeded), code == codes.DeadlineExceeded:
		return r.failure(ReasonTimeout, err)
	case code == codes.ResourceExhausted:
		return r.failure(ReasonOverflow, err)
	default:
		return r.failure(ReasonUnreachable, err)
	}
}

// noRoute returns the outcome of a destination that a table refuses. If a neighbour was lost
// with the packet before, that loss is the cause.
func (r *reporter) noRoute(h link.Header, reason Reason, err error) *DeliveryError {
	switch {
	case h.Lost != nil:
		return r.failure(ReasonUnreachable, h.Lost)
	case err == nil:
		return r.failure(reason, errForgot)
	default:
		return r.failure(reason, err)
	}
}

// noParent returns the outcome of a packet for which there is no parent, or none that takes
// it.
func (r *reporter) noParent(h link.Header) *DeliveryError {
	err := errDropped(len(h.Failed))
	if h.Lost == nil {
		return r.failure(ReasonNoRoute, err)
	}

	return r.failure(ReasonUnreachable, fmt.Errorf("%w: %w", err, h.Lost))
}

// refusal tells the observer that this node could not read a packet, and returns the outcome
// for its sender.
func (r *reporter) refusal(err error) *DeliveryError {
	failure := r.failure(ReasonRejected, err)
	if errors.Is(err, ErrMemory) {
		failure.Reason = ReasonOverflow
	}

	r.witness.dropped(nil, failure)

	return failure
}

// leavesOpen tells whether this node did not pass on a packet because it is closing. The
// neighbour must then find another way to the destination: this node does not know what
// becomes of it.
func (r *reporter) leavesOpen(err *DeliveryError) bool {
	dest, _ := keyOf(err.Destination)

	return err.Hop == r.me && errors.Is(err, ErrClosed) && dest != r.meKey
}

// step runs the part of a step that calls a routing table or a packet. If that panics, step
// settles the destinations that are still open. Some of them may be in an outbox already.
func (r *reporter) step(set *pending.Set, keys []string, dests []mino.Address, e *effects, run func()) {
	before := e.added

	err := contain.Do(run)
	if err != nil {
		r.witness.fault(err)

		if e.added > before {
			doubt(set, keys, err)
		}

		e.fail(set, keys, dests, r.failure(ReasonRejected, err))
	}
}

// carryOut flushes the links of the effects, and settles their outcomes. The caller holds no
// lock.
func (r *reporter) carryOut(e *effects) {
	if e.link != nil {
		e.link.Flush()
	}

	for _, l := range e.links {
		l.Flush()
	}

	for _, info := range e.delivered {
		r.witness.delivered(info)
	}

	if first := e.first; first.set != nil {
		r.settle(first.set, first.key, first.err)
	}

	for _, o := range e.outcomes {
		r.settle(o.set, o.key, o.err)
	}

	for _, h := range e.heard {
		r.witness.heard(h)
	}
}

// settle tells the outcome of one destination, unless it is known already. Every failure comes
// through here: this is where a failure of one copy becomes a timeout if another copy is in doubt.
func (r *reporter) settle(set *pending.Set, key string, err *DeliveryError) {
	r.settleFrom(nil, set, key, err)
}

// settleFrom is settle for an outcome that a neighbour has told. A nil neighbour is this node.
func (r *reporter) settleFrom(peer mino.Address, set *pending.Set, key string, err *DeliveryError) {
	if err == nil {
		if set.Settle(key, nil) {
			r.witness.record.delivered.Add(1)
			r.witness.outcome(set, key, nil)
		}

		return
	}

	if loss := set.InDoubt(key); loss != nil {
		doubted := err.doubted(loss, r.me)
		if doubted != err {
			err, peer = doubted, nil // This node knows of the copy.
		}
	}

	if set.Settle(key, err) {
		r.witness.record.fail(key, peer, err)
		r.witness.outcome(set, key, err)
		r.witness.dropped(peer, err)
	}
}

// giveUp notes that nobody will tell what becomes of a parcel. If it has been handed over, a copy
// of the message is in doubt from now on.
func (r *reporter) giveUp(p *link.Parcel, cause error) {
	if p.MayArrive() {
		doubt(p.Pending, p.Keys, cause)
	}
}

// doubt notes for several destinations that a copy is out of sight.
func doubt(set *pending.Set, keys []string, cause error) {
	for _, key := range keys {
		set.Doubt(key, cause)
	}
}

// settleParcel tells the same failure for each destination of a parcel.
func (r *reporter) settleParcel(p *link.Parcel, err *DeliveryError) {
	var e effects

	e.fail(p.Pending, p.Keys, p.Dests, err)
	r.carryOut(&e)
}
