package session

import (
	"errors"
	"fmt"
	"strings"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
)

// answered settles the destinations of a parcel by what the neighbour says. Only
// the destinations that it was given count, whatever it names, and each only once.
func (s *session) answered(peer mino.Address, p *link.Parcel, a link.Answer) {
	for _, i := range a.Reached {
		if uint64(i) < uint64(len(p.Keys)) { // an int may have 32 bits
			s.settle(p.Pending, p.Keys[i], nil)
		}
	}

	var rest *DeliveryError

	switch {
	case len(a.Failures) > 0:
		rest = s.settleFailures(peer, p, a.Failures)
	case len(a.Texts) > 0:
		rest = s.settleTexts(peer, p, a.Texts)
	}

	if !a.Last {
		return
	}

	for i, key := range p.Keys {
		if rest == nil {
			s.settle(p.Pending, key, nil)
		} else {
			s.settle(p.Pending, key, rest.about(p.Dests[i]))
		}
	}
}

// settleFailures takes the typed form. It returns the outcome of the destinations
// that are not named, nil for a delivery: where something is named that is no
// destination, nobody knows which one it was meant for.
func (s *session) settleFailures(peer mino.Address, p *link.Parcel, failures []*ptypes.Failure) *DeliveryError {
	var rest *DeliveryError

	for _, f := range failures {
		err := s.readFailure(peer, f)

		i, known := p.Index(string(f.GetDestination()))

		switch {
		case known:
			s.settle(p.Pending, p.Keys[i], err.about(p.Dests[i]))
		case len(f.GetDestination()) == 0:
			rest = err
		default:
			rest = unknown(peer, err.Cause)
		}
	}

	return rest
}

// settleTexts is settleFailures for the texts of an existing node, which name the
// addresses as they are printed.
func (s *session) settleTexts(peer mino.Address, p *link.Parcel, texts []string) *DeliveryError {
	var rest *DeliveryError

	byName := make(map[string]int, len(p.Dests))
	for i, dest := range p.Dests {
		byName[nameOf(dest)] = i
	}

	for _, text := range texts {
		name, reason := parseText(text)
		cause := errors.New(text)

		i, known := byName[name]
		if known {
			err := &DeliveryError{Destination: p.Dests[i], Reason: reason, Hop: peer, Cause: cause}
			s.settle(p.Pending, p.Keys[i], err)
		}

		if !known || reason == ReasonClosed && name == nameOf(peer) {
			// Such a node names itself when it closes, and not the destination.
			rest = unknown(peer, cause)
		}
	}

	return rest
}

// unknown is the outcome of a destination about which a neighbour says too little.
func unknown(peer mino.Address, cause error) *DeliveryError {
	return &DeliveryError{Reason: ReasonTimeout, Hop: peer, Cause: cause}
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
	if text := f.GetHop(); len(text) > 0 && len(text) <= maxHop {
		hop = AddressFactory{}.FromText(text)
	}

	return &DeliveryError{Reason: reason, Hop: hop, Cause: errors.New(f.GetCause())}
}

const (
	// maxText bounds the text of an error that travels, in bytes.
	maxText = 1 << 10

	// maxHop bounds the address text of the node that gave up, in bytes. For a longer one
	// stands the neighbour that has told: it is passed on for each destination, by each
	// node on the way, and nobody gets anything for it.
	maxHop = 512
)

// replacement stands for what is no UTF-8 in a text, which gRPC would not send.
const replacement = "\uFFFD"

// writeFailure returns the typed form of an error.
func writeFailure(err *DeliveryError) *ptypes.Failure {
	dest, _ := keyOf(err.Destination)

	hop, _ := keyOf(err.Hop)
	if len(hop) > maxHop {
		hop = ""
	}

	return &ptypes.Failure{
		Destination: []byte(dest),
		Reason:      ptypes.Reason(err.Reason),
		Hop:         []byte(hop),
		Cause:       textOf(err.Cause),
	}
}

// textOf returns the text of an error as it travels. What is too long for anybody to read
// is cut: it may have come from a neighbour, and is passed on for each destination.
func textOf(err error) string {
	// The error may not be ours: fmt makes a text of its panic.
	text := fmt.Sprint(err)
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}

	return strings.ToValidUTF8(text, replacement)
}

// writeAck returns the Ack for the destinations that were not reached.
func writeAck(errs []*DeliveryError) *ptypes.Ack {
	ack := &ptypes.Ack{}

	for _, err := range errs {
		ack.Errors = append(ack.Errors, textOf(err))
		ack.Failures = append(ack.Failures, writeFailure(err))
	}

	return ack
}
