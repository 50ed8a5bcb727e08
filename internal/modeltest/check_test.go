package modeltest_test

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/minogrpc/session"
)

// checkAlive compares the sessions with the model while the stream lasts.
// Promise L8: what goes wrong elsewhere does not end one.
func (w *world) checkAlive() {
	w.mu.Lock()
	defer w.mu.Unlock()

	for p, parts := range w.parts {
		ended := parts[len(parts)-1].ended
		if ended > 0 && !w.disturbedLocked(p, p, ended) {
			w.violatedLockedf("%v has ended, though nothing was wrong between it and the orchestrator", p)
		}
	}
}

// check compares what has become of the messages with the model. All the sessions
// have ended, so that what they were given has been received.
func (w *world) check() {
	w.mu.Lock()
	defer w.mu.Unlock()

	for _, m := range w.messages {
		if m.end == 0 {
			w.violatedLockedf("message %s: not settled", m.id)

			continue
		}

		// Promise L2: the deadline, in virtual time and so to the nanosecond.
		if took := m.settled.Sub(m.at); took > w.outcome && !w.isExisting(m.sender.place) {
			w.violatedLockedf("message %s: settled after %v, which is later than %v", m.id, took, w.outcome)
		}

		for _, p := range m.to {
			w.checkOutcomeLocked(m, p)
		}
	}

	for _, parts := range w.parts {
		for _, p := range parts {
			w.checkOrderLocked(p)
			w.checkEndLocked(p)
		}
	}
}

// checkOutcomeLocked checks the outcome of one destination.
func (w *world) checkOutcomeLocked(m *message, p place) {
	failure, got := m.errs[p], w.gotLocked(m, p)
	disturbed := w.disturbedLocked(m.sender.place, p, m.end)

	// Promise O1: delivered or reported.
	// Promise O7: each reason but a timeout says that no copy was delivered. An existing node
	// promises nothing to its own senders.
	switch {
	case failure == nil && !got && !w.mayBeLostLocked(m, p):
		w.violatedLockedf("message %s: delivered to %v, says the outcome, but nobody has received it", m.id, p)
	case failure != nil && got && failure.Reason != session.ReasonTimeout && !w.isExisting(m.sender.place):
		w.violatedLockedf("message %s: %v, says the outcome for %v, who has received it", m.id, failure.Reason, p)
	}

	disturbed = disturbed || w.heldUpLocked(m, p)

	switch {
	case !w.takesPart(p):
		w.checkUnknownLocked(m, p, disturbed)
	case failure != nil:
		w.checkFailureLocked(m, p, disturbed)
	case !disturbed:
		w.checkTimeLocked(m, p)
	}
}

// checkFailureLocked checks that somebody who takes part may be out of reach.
func (w *world) checkFailureLocked(m *message, p place, disturbed bool) {
	failure := m.errs[p]

	switch {
	case slices.Contains(m.must, p) && (!disturbed || !w.hasExisting(m.sender.place, p)):
		w.violatedLockedf("message %s: not delivered to %v, though nothing is wrong any more: %v", m.id, p, failure)
	case !w.mayFail(failure.Reason):
		w.violatedLockedf("message %s: the outcome for %v cannot be %v", m.id, p, failure.Reason)
	case !disturbed && !w.isOverflowLocked(m, p):
		// Promise M3: what is wrong elsewhere costs nothing here.
		w.violatedLockedf("message %s: not delivered to %v, though nothing was wrong on the way: %v", m.id, p, failure)
	}
}

// isOverflowLocked tells whether a small queue may be why somebody was not reached. Where a
// node was lost with a copy of the message, nobody knows what has become of that one, so that
// the overflow of the other copy is told as a timeout.
func (w *world) isOverflowLocked(m *message, p place) bool {
	reason := m.errs[p].Reason

	return reason == session.ReasonOverflow ||
		reason == session.ReasonTimeout && w.queue > 0 && w.hasLostLocked(m, p)
}

// hasLostLocked tells whether a node on the way has stopped before the outcome was known, maybe
// with a copy of the message.
func (w *world) hasLostLocked(m *message, p place) bool {
	return w.anyFaultLocked(m.sender.place, p, m.end, func(f fault) bool { return f.kind == stopped })
}

// mayFail tells whether the reason is a possible one for somebody who takes part.
func (w *world) mayFail(reason session.Reason) bool {
	switch reason {
	case session.ReasonUnreachable, session.ReasonTimeout, session.ReasonClosed:
		return true
	case session.ReasonOverflow:
		return w.queue > 0 || w.large
	default:
		return false
	}
}

// checkUnknownLocked checks the outcome of somebody who does not take part.
// Promise R1: no route, says the first node that can know it.
func (w *world) checkUnknownLocked(m *message, p place, disturbed bool) {
	failure := m.errs[p]

	// What an existing node says is no proof, nor is a refusal where a node was lost with
	// another copy.
	sure := !disturbed && !w.hasExisting(m.sender.place, m.sender.place) && !w.hasLostLocked(m, p)

	if failure == nil || sure && failure.Reason != session.ReasonNoRoute {
		w.violatedLockedf("message %s: the outcome for %v, who does not take part, is %v", m.id, p, failure)
	}
}

// checkTimeLocked checks when a message was received: at once, when nothing on its
// way is slow, whatever goes on elsewhere; or a little later, when many have been sent
// to several at once.
func (w *world) checkTimeLocked(m *message, p place) {
	arrival := m.end
	if w.isUnanswered(p) {
		arrival = w.moment + 1
	}

	if w.delayedLocked(m.sender.place, p, arrival) || w.hasPaused[p] {
		return
	}

	var wait time.Duration
	if w.crowdedLocked(m) {
		wait = time.Duration(len(w.tree.path(m.sender.place, p))) * patience
	}

	for _, part := range w.parts[p] {
		at, found := part.got[m.id]
		if found && at.Sub(m.at) > wait {
			w.violatedLockedf("message %s: received by %v after %v, though nothing was slow on the way",
				m.id, p, at.Sub(m.at))
		}
	}
}

// checkOrderLocked checks the order in which a session has received. Promise M2:
// what is sent after the outcome of the one before is known arrives after it, and over
// duplex links whatever is sent later.
func (w *world) checkOrderLocked(p *part) {
	for n, first := range w.messages {
		for _, second := range w.messages[n+1:] {
			i, found := p.order[first.id]
			j, both := p.order[second.id]

			after := first.sender == second.sender &&
				(w.duplex() || first.end < second.start && first.errs[p.place] == nil)
			if found && both && after && j < i {
				w.violatedLockedf("message %s: received by %v after message %s, though it was sent before",
					first.id, p.place, second.id)
			}
		}
	}
}

// checkEndLocked checks why a session has ended, where nothing was wrong.
func (w *world) checkEndLocked(p *part) {
	if p.place != orchestrator && !w.disturbedLocked(p.place, p.place, p.ended) && !errors.Is(p.cause, io.EOF) {
		w.violatedLockedf("%v has ended with %v, and not with EOF", p.place, p.cause)
	}
}

// gotLocked tells whether a session of a place has received a message.
func (w *world) gotLocked(m *message, p place) bool {
	return slices.ContainsFunc(w.parts[p], func(part *part) bool {
		_, found := part.got[m.id]

		return found
	})
}

// crowd is how many packets for several destinations a link carries at once. Others
// wait behind them, at every node on the way for as long as patience says, and then
// are sent to each destination alone.
const (
	crowd    = 8
	patience = time.Second
)

// crowdedLocked tells whether so many others were under way at the same time that
// a message may have had to wait for them, where there is something to wait for.
func (w *world) crowdedLocked(m *message) bool {
	if len(w.faults) == 0 || w.duplex() {
		return false
	}

	others := 0

	for _, other := range w.messages {
		if len(other.to) > 1 && other.start < m.end && m.start < other.end {
			others++
		}
	}

	return others > crowd
}

// disturbedLocked tells whether something has been wrong before a moment, on the way
// between two places or on their ways to the orchestrator, that may cost what one
// sends to the other. What is wrong elsewhere must make no difference, and neither,
// Promise R2, must a node between them that stops.
func (w *world) disturbedLocked(from, to place, before int) bool {
	return w.forgottenLocked(from, to, before) || w.anyFaultLocked(from, to, before, func(f fault) bool {
		switch f.kind {
		case slow:
			return false
		case stopped:
			return w.tree[place(f.a)] == orchestrator || f.a == 0 || f.a == from.node() || f.a == to.node() ||
				w.isDeadly(f.a, from, to)
		default:
			return true
		}
	})
}

// delayedLocked tells whether something has been wrong or slow on the way.
func (w *world) delayedLocked(from, to place, before int) bool {
	return w.anyFaultLocked(from, to, before, func(fault) bool { return true })
}

func (w *world) anyFaultLocked(from, to place, before int, counts func(fault) bool) bool {
	path := w.tree.path(from, to)

	return slices.ContainsFunc(w.faults, func(f fault) bool {
		return f.moment < before && path[f.a] && path[f.b] && counts(f)
	})
}
