package session

import "github.com/minogrpc/session/ptypes"

// The caller of a unicast relay reads an Ack only up to the limit of its connection, and would take
// one that is larger for a failure of the packet. So an Ack is bounded however many destinations
// have failed: it takes hardly more than the packet did.
const (
	// fewFailures is the number of failures up to which an Ack tells everything about each.
	fewFailures = 100

	// maxDetails bounds what the hops and causes in an Ack take together, in bytes, and maxTexts
	// what the texts for an existing node do.
	maxDetails = 1 << 20
	maxTexts   = 8 << 20

	// minText is what is left of each text at least. It has the address of most destinations.
	minText = 128
)

// answer is what becomes the Ack of a call.
type answer struct {
	errs []*DeliveryError

	// all is set when no destination was reached.
	all bool
	// typed is set when the caller reads the failures, and needs no texts.
	typed bool
}

// ack returns the Ack. Past a few failures it has texts only for a caller that needs them.
func (a answer) ack() *ptypes.Ack {
	ack := &ptypes.Ack{Failures: a.failures()}
	if a.typed && len(a.errs) > fewFailures {
		return ack
	}

	limit := min(max(maxTexts/(len(a.errs)+1), minText), maxText)
	for _, err := range a.errs {
		ack.Errors = append(ack.Errors, textOf(err, limit))
	}

	return ack
}

// failures returns the typed failures. If many have failed and nobody was reached, one without a
// destination stands for the largest group with the same reason, hop and cause. Hops and causes are
// left out past their bound.
func (a answer) failures() []*ptypes.Failure {
	all := make([]*ptypes.Failure, 0, len(a.errs))
	for _, err := range a.errs {
		all = append(all, writeFailure(err))
	}

	if a.all && len(all) > fewFailures {
		all = grouped(all)
	}

	room := maxDetails

	for _, f := range all {
		room -= len(f.GetHop()) + len(f.GetCause())
		if room < 0 {
			f.Hop, f.Cause = nil, ""
		}
	}

	return all
}

// kind is what failures have in common that one failure can stand for.
type kind struct {
	reason     ptypes.Reason
	hop, cause string
}

func kindOf(f *ptypes.Failure) kind {
	return kind{f.GetReason(), string(f.GetHop()), f.GetCause()}
}

// grouped replaces the largest group of failures by one that stands for all that no other is about.
func grouped(all []*ptypes.Failure) []*ptypes.Failure {
	counts := make(map[kind]int)
	largest := kindOf(all[0])

	for _, f := range all {
		k := kindOf(f)
		counts[k]++

		if counts[k] > counts[largest] {
			largest = k
		}
	}

	rest := []*ptypes.Failure{{Reason: largest.reason, Hop: []byte(largest.hop), Cause: largest.cause}}

	for _, f := range all {
		if kindOf(f) != largest {
			rest = append(rest, f)
		}
	}

	return rest
}
