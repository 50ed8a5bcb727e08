package session

import (
	"errors"
	"fmt"
	"strings"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
)

// answered settles the destinations of a parcel by the answer of a neighbour. Whatever the
// neighbour names, only destinations of the parcel are settled, and each only once.
func (r *reporter) answered(peer mino.Address, p *link.Parcel, a link.Answer) {
	for _, i := range p.Counting(a.Reached) {
		if uint64(i) < uint64(len(p.Keys)) { // an int may have 32 bits
			r.settle(p.Pending, p.Keys[i], nil)
		}
	}

	var rest *DeliveryError

	switch {
	case len(a.Failures) > 0:
		rest = r.settleFailures(peer, p, a.Failures)
	case len(a.Texts) > 0:
		rest = r.settleTexts(peer, p, a.Texts)
	}

	if !a.Last {
		return
	}

	for i, key := range p.Keys {
		if rest == nil {
			r.settle(p.Pending, key, nil)
		} else {
			r.settleFrom(peer, p.Pending, key, rest.about(p.Dests[i]))
		}
	}
}

// settleFailures settles the destinations that typed failures name. It returns the outcome of all
// others, which is nil for a delivery. A failure may name an address that is no destination. It
// could be about any destination, so that the outcome of the others is a timeout.
func (r *reporter) settleFailures(peer mino.Address, p *link.Parcel, failures []*ptypes.Failure) *DeliveryError {
	var rest *DeliveryError

	for _, f := range failures {
		err := readFailure(peer, f)

		i, known := p.Index(string(f.GetDestination()))

		switch {
		case known:
			r.settleFrom(peer, p.Pending, p.Keys[i], err.about(p.Dests[i]))
		case len(f.GetDestination()) == 0:
			rest = err
		default:
			rest = unknown(peer, err.Cause)
		}
	}

	return rest
}

// unknown is the outcome of a destination when the neighbour says too little about it.
func unknown(peer mino.Address, cause error) *DeliveryError {
	return &DeliveryError{Reason: ReasonTimeout, Hop: peer, Cause: cause}
}

// errUntold is the cause of a failure that has come without one, as one of very many does.
var errUntold = errors.New("the neighbour gave no cause")

// readFailure returns the error for a typed failure. A reason of a newer version counts as
// a timeout: nobody here knows what it means.
func readFailure(peer mino.Address, f *ptypes.Failure) *DeliveryError {
	reason := Reason(f.GetReason())
	if reason < ReasonNoRoute || reason > ReasonRejected {
		reason = ReasonTimeout
	}

	hop := peer
	if text := f.GetHop(); len(text) > 0 && len(text) <= maxHop {
		hop = AddressFactory{}.FromText(text)
	}

	cause := errUntold
	if text := f.GetCause(); text != "" {
		cause = errors.New(text)
	}

	return &DeliveryError{Reason: reason, Hop: hop, Cause: cause}
}

const (
	// maxText bounds the text of an error that travels, in bytes.
	maxText = 1 << 10

	// maxHop bounds the address text of the node that gave up, in bytes. Each node on the way
	// passes the text on for each destination, so that a long one would make other nodes send
	// much. If the text is longer, the neighbour itself counts as that node.
	maxHop = 512
)

// replacement takes the place of bytes that are no UTF-8. gRPC would not send those.
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
		Cause:       textOf(err.Cause, maxText),
	}
}

// textOf returns the text of an error as it travels. A text above the limit is cut: it may have
// come from a neighbour, and this node passes it on for each destination.
func textOf(err error, limit int) string {
	// The error may not be ours: fmt makes a text of its panic.
	return bounded(coarse(err, fmt.Sprint(err)), limit)
}

// detailOf returns the whole text of an error, for the log and the snapshot of this node: it does not
// travel. It is as long as one that does.
func detailOf(err error) string {
	return bounded(fmt.Sprint(err), maxText)
}

// bounded returns a text of at most so many bytes and a mark, in UTF-8.
func bounded(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit] + "…"
	}

	return strings.ToValidUTF8(text, replacement)
}

// appendFailure adds an outcome to a list, if it is a failure.
func appendFailure(errs []*DeliveryError, err error) []*DeliveryError {
	failure, ok := errors.AsType[*DeliveryError](err)
	if ok {
		errs = append(errs, failure)
	}

	return errs
}

// replier implements pending.Waiter, and answers a parcel with receipts. It sends the receipt of
// each destination at once, because the link may end before the other outcomes are known. It
// sends none for a destination that leavesOpen: the end of the link tells the neighbour enough. A
// replier lives longer than the packet, which may be large, and so does not hold it.
type replier struct {
	reporter *reporter
	link     *link.Link
	id       uint64

	// open is set when there was a destination that leavesOpen.
	open bool
}

// Settled implements pending.Waiter.
func (r *replier) Settled(i, left int, err error) {
	if err == nil && left == 0 && !r.open {
		r.link.Delivered(r.id)

		return
	}

	failure, failed := errors.AsType[*DeliveryError](err)
	open := failed && r.reporter.leavesOpen(failure)
	r.open = r.open || open
	receipt := &ptypes.Receipt{ParcelId: r.id, Last: left == 0 && !r.open}

	switch {
	case open:
		return
	case failed:
		receipt.Failures = []*ptypes.Failure{writeFailure(failure)}
	default:
		receipt.Reached = []uint32{uint32(i)}
	}

	r.link.Reply(receipt)
}
