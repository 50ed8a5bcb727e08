package session

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
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
type aftermath struct {
	outcomes  []outcome
	delivered []PacketInfo
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
		a.outcomes = append(a.outcomes, outcome{set: set, key: key, err: err.about(dests[i])})
	}
}

// settleAll tells what has become known. It is called without a lock.
func (s *session) settleAll(after *aftermath) {
	for _, info := range after.delivered {
		s.observeDelivery(info)
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

// answered settles the destinations of a parcel by what the neighbour says. Only
// the destinations that it was given count, whatever it names.
func (s *session) answered(peer mino.Address, p *link.Parcel, ack *ptypes.Ack, last bool) {
	told := s.readAck(peer, ack)

	if len(told.byKey) > 0 || len(told.byName) > 0 {
		for i, key := range p.Keys {
			err := told.about(key, p.Dests[i])
			if err != nil {
				s.settle(p.Pending, key, err.about(p.Dests[i]))
			}
		}
	}

	if !last {
		return
	}

	rest := told.unmatched()
	for i, key := range p.Keys {
		if rest == nil {
			s.settle(p.Pending, key, nil)
		} else {
			s.settle(p.Pending, key, rest.about(p.Dests[i]))
		}
	}
}

// verdicts is what an Ack says. The destinations are looked up in it, not the
// other way round, so that what it names cannot make anything grow.
type verdicts struct {
	// byKey holds the typed failures by address text, byName the others by the
	// printed address. The first of each counts.
	byKey, byName map[string]*DeliveryError
	// found counts the entries that a destination was found for.
	found int
	// rest is for the destinations that nothing else names, if it is not nil.
	rest *DeliveryError
}

// readAck sorts an Ack. Its texts only count without the typed form.
func (s *session) readAck(peer mino.Address, ack *ptypes.Ack) *verdicts {
	v := &verdicts{}

	if failures := ack.GetFailures(); len(failures) > 0 {
		v.byKey = make(map[string]*DeliveryError)
		for _, f := range failures {
			v.addFailure(s.readFailure(peer, f), string(f.GetDestination()))
		}

		return v
	}

	if texts := ack.GetErrors(); len(texts) > 0 {
		v.byName = make(map[string]*DeliveryError)
		for _, text := range texts {
			v.addText(peer, text)
		}
	}

	return v
}

func (v *verdicts) addFailure(err *DeliveryError, key string) {
	if key == "" {
		// It is about all of the parcel.
		v.rest = err

		return
	}

	if v.byKey[key] == nil {
		v.byKey[key] = err
	}
}

// addText takes the text of an existing node, in one of the wordings that nodes
// exchange.
func (v *verdicts) addText(peer mino.Address, text string) {
	name, reason := parseText(text)
	err := &DeliveryError{Reason: reason, Hop: peer, Cause: errors.New(text)}

	if name == "" || reason == ReasonClosed && name == peer.String() {
		// Such a node names itself when it closes, and not the destination: then
		// nobody knows about the others.
		v.rest = &DeliveryError{Reason: ReasonTimeout, Hop: peer, Cause: err.Cause}
	}

	if name != "" && v.byName[name] == nil {
		v.byName[name] = err
	}
}

// about returns what is said about a destination, or nil.
func (v *verdicts) about(key string, dest mino.Address) *DeliveryError {
	err := v.byKey[key]
	if err == nil && len(v.byName) > 0 {
		err = v.byName[dest.String()]
	}

	if err != nil {
		v.found++
	}

	return err
}

// unmatched returns the outcome of the destinations that nothing names: nil, a
// delivery, unless something is named that is no destination. Then it may have
// been meant for any of them.
func (v *verdicts) unmatched() *DeliveryError {
	if v.rest != nil || v.found >= len(v.byKey)+len(v.byName) {
		return v.rest
	}

	for _, named := range []map[string]*DeliveryError{v.byKey, v.byName} {
		for _, err := range named {
			return &DeliveryError{Reason: ReasonTimeout, Hop: err.Hop, Cause: err.Cause}
		}
	}

	return nil
}

// parseText finds the printed address and the reason in the text of an error.
func parseText(text string) (name string, reason Reason) {
	_, rest, ok := strings.Cut(text, "no route to ")
	if ok {
		name, _, ok = strings.Cut(rest, ": ")
		if ok {
			return name, ReasonNoRoute
		}
	}

	before, after, ok := strings.Cut(text, " dropped the packet: ")
	if ok {
		reason = ReasonRejected
		if strings.Contains(after, ErrQueueFull.Error()) {
			reason = ReasonOverflow
		}

		return before[strings.LastIndexByte(before, ' ')+1:], reason
	}

	_, rest, ok = strings.Cut(text, "session ")
	if ok {
		name, _, ok = strings.Cut(rest, " is closing: ")
		if ok {
			return name, ReasonClosed
		}
	}

	return "", ReasonTimeout
}

// readFailure returns the error for a typed failure. A reason that is not known
// here says that nobody knows.
func (s *session) readFailure(peer mino.Address, f *ptypes.Failure) *DeliveryError {
	reason := Reason(f.GetReason())
	if reason < ReasonNoRoute || reason > ReasonRejected {
		reason = ReasonTimeout
	}

	hop := peer
	if text := f.GetHop(); len(text) > 0 {
		hop = AddressFactory{}.FromText(text)
	}

	return &DeliveryError{Reason: reason, Hop: hop, Cause: errors.New(f.GetCause())}
}

// writeFailure returns the typed form of an error.
func writeFailure(err *DeliveryError) *ptypes.Failure {
	dest, _ := keyOf(err.Destination)
	hop, _ := keyOf(err.Hop)

	return &ptypes.Failure{
		Destination: []byte(dest),
		Reason:      ptypes.Reason(err.Reason),
		Hop:         []byte(hop),
		Cause:       err.Cause.Error(),
	}
}

// writeAck returns the Ack for the destinations that were not reached.
func writeAck(errs []*DeliveryError) *ptypes.Ack {
	ack := &ptypes.Ack{}

	for _, err := range errs {
		ack.Errors = append(ack.Errors, err.Error())
		ack.Failures = append(ack.Failures, writeFailure(err))
	}

	return ack
}
