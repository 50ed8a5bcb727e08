package scenario_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/scenario"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
)

// sending is a send of the scenario, which may be many of the session.
type sending struct {
	*scenario.Send

	line int
	from mino.Sender

	// mu guards what the collectors write.
	mu   sync.Mutex
	each []*attempt
}

// attempt is one Send.
type attempt struct {
	label string
	at    time.Duration

	// number is its place among all of the scenario, in the order of the calls.
	number int

	// failures are the errors by the name of their destination, settled is when the
	// channel was closed, and done whether it was.
	failures map[string][]failure
	settled  time.Duration
	done     bool
}

// failure is an error of a Send.
type failure struct {
	at  time.Duration
	err *session.DeliveryError
}

// send does what a send statement says, and returns at once.
func (w *world) send(step scenario.Step, a *scenario.Send) {
	s := &sending{Send: a, line: step.Line, from: w.book.sender(a.From)}
	if s.from == nil {
		w.failf(step.Line, "%s has no part in the stream yet", a.From)

		return
	}

	w.sendings = append(w.sendings, s)

	if a.Awaited {
		w.collectors++
		w.tasks.Go(func() {
			for i := range a.Times {
				s.attempt(w, i)()
			}
		})

		return
	}

	for i := range a.Times {
		collect := s.attempt(w, i)

		w.collectors++
		w.tasks.Go(collect)
	}
}

// awaitOutcomes waits until all that was sent is settled, for as long as it may take.
func (w *world) awaitOutcomes() {
	pending := func(s *sending) bool { return !s.isSettled() }

	for end := w.now() + w.patience(); w.now() < end; time.Sleep(time.Second) { // Virtual time.
		synctest.Wait()

		if !slices.ContainsFunc(w.sendings, pending) {
			return
		}
	}
}

func (s *sending) isSettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	return len(s.each) == s.Times && !slices.ContainsFunc(s.each, func(x *attempt) bool { return !x.done })
}

// attempt sends once, and returns the function that waits for the outcomes.
func (s *sending) attempt(w *world, i int) (collect func()) {
	x := &attempt{label: s.Message, at: w.now(), failures: make(map[string][]failure)}
	if s.Times > 1 {
		x.label = fmt.Sprintf("%s-%d", s.Message, i+1)
	}

	var msg serde.Message
	if s.Message != "" {
		msg = text(x.label + strings.Repeat(" ", max(0, s.Size-len(x.label))))
	}

	s.mu.Lock()
	s.each = append(s.each, x)
	s.mu.Unlock()

	to := w.addresses(s.To...)

	w.sending.Lock()
	w.sent++
	x.number = w.sent
	outcomes := s.from.Send(msg, to...)
	w.sending.Unlock()

	// Promise O5: the slice belongs to the caller again.
	clear(to)

	return func() {
		for err := range outcomes {
			s.note(w, x, err)
		}

		s.mu.Lock()
		defer s.mu.Unlock()

		x.settled, x.done = w.now(), true
	}
}

func (s *sending) note(w *world, x *attempt, err error) {
	failed, ok := errors.AsType[*session.DeliveryError](err)
	if !ok {
		w.failf(s.line, "%s: an error of type %T: %v", x.label, err, err)

		return
	}

	name := ""
	if failed.Destination != nil {
		name = nameOf(failed.Destination)
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	x.failures[name] = append(x.failures[name], failure{at: w.now() - x.at, err: failed})
}

// check compares the outcomes with what is expected.
//
// Promises O1, O2.
func (s *sending) check(w *world) {
	s.mu.Lock()
	defer s.mu.Unlock()

	deadline := w.sc.Options.Outcome
	if deadline == 0 {
		deadline = session.DefaultOutcomeTimeout
	}

	if len(s.each) < s.Times {
		w.failf(s.line, "only %d of %d messages were sent", len(s.each), s.Times)
	}

	for _, x := range s.each {
		took := x.settled - x.at

		switch {
		case !x.done:
			w.failf(s.line, "%s: the outcomes are not known yet", x.label)
		case took > deadline && !w.isExisting(s.From):
			w.failf(s.line, "%s: the outcomes took %v, past the deadline", x.label, took)
		case !inside(s.Settled, took):
			w.failf(s.line, "%s: the outcomes took %v", x.label, took)
		}

		for dest, want := range s.Want {
			s.checkOutcome(w, x, dest, want)
		}

		for dest := range x.failures {
			if !slices.Contains(s.To, dest) {
				w.failf(s.line, "%s: an error about %s, which is no destination", x.label, dest)
			}
		}
	}
}

func (s *sending) checkOutcome(w *world, x *attempt, dest string, want scenario.Outcome) {
	failures := x.failures[dest]
	arrived := slices.DeleteFunc(w.book.receiptsOf(dest, s.From), func(r receipt) bool { return r.text != x.label })
	got, took := scenario.Delivered, time.Duration(0)

	switch {
	case len(failures) > 1:
		w.failf(s.line, "%s to %q: %d errors", x.label, dest, len(failures))
	case len(failures) == 1:
		got, took = failures[0].err.Reason, failures[0].at
	case len(arrived) > 0:
		took = arrived[0].at - x.at
	case w.reads(dest):
		w.failf(s.line, "%s to %q: it was delivered, but has not arrived", x.label, dest)
	}

	// Promise O7: each reason but a timeout says that no copy was delivered.
	if len(failures) > 0 && got != session.ReasonTimeout && len(arrived) > 0 {
		w.failf(s.line, "%s to %q: it has arrived, and the outcome is %v", x.label, dest, told(failures))
	}

	switch {
	case !slices.Contains(want.Reasons, got):
		w.failf(s.line, "%s to %q: %v\n%s", x.label, dest, told(failures), w.book.story())
	case !inside(want.Window, took):
		w.failf(s.line, "%s to %q: %v after %v", x.label, dest, told(failures), took)
	case want.Hop != "" && nameOf(failures[0].err.Hop) != want.Hop:
		w.failf(s.line, "%s to %q: told by %v", x.label, dest, failures[0].err.Hop)
	}
}

// told is what the errors of a destination say.
func told(failures []failure) string {
	if len(failures) == 0 {
		return "delivered"
	}

	err := failures[0].err

	return fmt.Sprintf("%v, told by %v: %v", err.Reason, err.Hop, err)
}

// reads tells whether a destination notes what it gets.
func (w *world) reads(dest string) bool {
	_, played := w.sc.Peers[dest]

	return !played && dest != "" && w.sc.Handlers[dest] != scenario.NeverReads
}

// inside tells whether a duration is in a window.
func inside(window scenario.Window, d time.Duration) bool {
	return d >= window.After && (window.Within < 0 || d <= window.Within)
}
