package session

import (
	"errors"
	"strings"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
)

// settleTexts is settleFailures for the texts of an existing node, which name addresses as
// they are printed. Nobody can check what such a text says: another copy of the message may have
// been delivered all the same. So the outcome is that nobody knows, with the text as its cause.
func (r *reporter) settleTexts(peer mino.Address, p *link.Parcel, texts []string) *DeliveryError {
	var rest *DeliveryError

	byName := make(map[string]int, len(p.Dests))
	for i, dest := range p.Dests {
		byName[nameOf(dest)] = i
	}

	for _, text := range texts {
		name, closing := nameIn(text)
		outcome := unknown(peer, errors.New(text))

		i, known := byName[name]
		if known {
			r.settleFrom(peer, p.Pending, p.Keys[i], outcome.about(p.Dests[i]))
		}

		if !known || closing && name == nameOf(peer) {
			// When an existing node closes, it names itself and not the destination.
			rest = outcome
		}
	}

	return rest
}

// nameIn returns the printed address that the text of an error is about, or nothing, and
// whether the text says that the session there is closing.
func nameIn(text string) (name string, closing bool) {
	_, rest, ok := strings.Cut(text, "no route to ")
	if ok {
		name, _, ok = strings.Cut(rest, ": ")
		if ok {
			return name, false
		}
	}

	before, _, ok := strings.Cut(text, " dropped the packet: ")
	if ok {
		return before[strings.LastIndexByte(before, ' ')+1:], false
	}

	_, rest, ok = strings.Cut(text, "session ")
	if ok {
		name, _, ok = strings.Cut(rest, " is closing: ")
		if ok {
			return name, true
		}
	}

	return "", false
}
