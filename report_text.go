package session

import (
	"errors"
	"strings"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
)

// settleTexts is settleFailures for the texts of an existing node, which name addresses as
// they are printed.
func (r *reporter) settleTexts(peer mino.Address, p *link.Parcel, texts []string) *DeliveryError {
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
			r.settle(p.Pending, p.Keys[i], err)
		}

		if !known || reason == ReasonClosed && name == nameOf(peer) {
			// When an existing node closes, it names itself and not the destination.
			rest = unknown(peer, cause)
		}
	}

	return rest
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
