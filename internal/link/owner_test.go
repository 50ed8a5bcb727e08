package link_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/ptypes"
)

// end implements link.Owner.
var _ link.Owner = (*end)(nil)

func (e *end) Opened(*link.Link)                   {}
func (e *end) Received(*link.Link, *ptypes.Packet) {}

func (e *end) Sent(_ *link.Link, p *link.Parcel) {
	e.mu.Lock()
	defer e.mu.Unlock()

	e.sent[p.Sequence]++
}

func (e *end) Answered(_ *link.Link, p *link.Parcel, a link.Answer) {
	e.mu.Lock()
	defer e.mu.Unlock()

	if a.Last {
		e.settled[p.Sequence]++
		e.reached[p.Sequence] = true
	} else {
		e.note(p, a)
	}

	// Of the last one nobody waits for what is known of all destinations already.
	if all := e.told[p.Sequence]; len(all) == len(p.Keys) {
		e.settled[p.Sequence] = 1
	}
}

// note remembers which destinations the owner knows about before the last answer: they are
// not among what is drained.
func (e *end) note(p *link.Parcel, a link.Answer) {
	if e.told[p.Sequence] == nil {
		e.told[p.Sequence] = make(map[int]bool)
	}

	for _, i := range a.Reached {
		if int(i) < len(p.Keys) {
			e.told[p.Sequence][int(i)] = true
		}
	}

	for _, f := range a.Failures {
		if i, known := p.Index(string(f.GetDestination())); known {
			e.told[p.Sequence][i] = true
		}
	}
}

func (e *end) Arrived(_ *link.Link, arrivals []link.Arrival) {
	for _, a := range arrivals {
		e.arrive(a)
	}
}

func (e *end) arrive(a link.Arrival) {
	if e.watch != nil {
		e.watch(a)
	}

	e.mu.Lock()
	e.arrived = append(e.arrived, a)
	e.mu.Unlock()

	e.answer(e, a)
}

func (e *end) Failed(_ *link.Link, p *link.Parcel, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()

	e.settled[p.Sequence]++
	e.failed[p.Sequence] = err
}

func (e *end) Broken(l *link.Link, cause error) {
	if e.onBreak != nil {
		e.onBreak()
	}

	e.mu.Lock()
	defer e.mu.Unlock()

	if e.serving != nil && (errors.Is(cause, link.ErrSilent) || errors.Is(cause, link.ErrStuck)) {
		e.serving.far.leave(link.ErrUnheard)
	}

	e.broken++
	e.timer = time.AfterFunc(grace, func() { l.Fail(cause) })
}

func (e *end) Turned(*link.Link, bool)            {}
func (e *end) Measured(*link.Link, time.Duration) {}
func (e *end) Redials(*link.Link, error)          {}
func (e *end) Resumed(*link.Link)                 {}

func (e *end) Stalled(*link.Link, error) {}

func (e *end) Goodbye(l *link.Link) {
	e.mu.Lock()
	e.goodbyes++
	e.mu.Unlock()

	// So does a session that has lost its last parent.
	l.Close()
}

func (e *end) Lost(l *link.Link, cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()

	e.lost++
	e.cause = cause

	for _, p := range l.Drain() {
		e.settled[p.Sequence]++
	}
}

func (e *end) Released(*link.Link) {
	e.mu.Lock()
	defer e.mu.Unlock()

	e.released++
}

// wrong returns what is not as it must be when both links have ended.
func (e *end) wrong(other *end) (all []string) {
	wrongf := func(format string, args ...any) {
		all = append(all, e.name+": "+fmt.Sprintf(format, args...))
	}

	for _, p := range e.added {
		if n := e.settled[p.Sequence]; n != 1 {
			wrongf("parcel %d has %d outcomes", p.Sequence, n)
		}

		if n := e.sent[p.Sequence]; n > 1 || n == 0 && e.reached[p.Sequence] {
			wrongf("the owner was told %d times that parcel %d was sent", n, p.Sequence)
		}
	}

	all = append(all, e.misdelivered(other)...)

	if e.released != 1 || e.lost > 1 || e.goodbyes > 1 {
		wrongf("released %d times, lost %d times, goodbye %d times", e.released, e.lost, e.goodbyes)
	}

	if used := e.budget.Used(); used != 0 {
		wrongf("%d bytes are still counted", used)
	}

	return all
}

// misdelivered returns what has not come to the other end as it was sent.
func (e *end) misdelivered(other *end) (all []string) {
	wrongf := func(format string, args ...any) {
		all = append(all, other.name+": "+fmt.Sprintf(format, args...))
	}

	count := make(map[uint64]int)
	last := make(map[string]uint64)

	for _, a := range other.arrived {
		count[a.GetSequence()]++

		flow := e.added[a.GetSequence()-1].Source + string(a.GetOrigin()) + string(a.GetHeader())
		if last[flow] > a.GetSequence() {
			wrongf("parcel %d of %s has arrived after %d", a.GetSequence(), flow, last[flow])
		}

		last[flow] = a.GetSequence()

		if !intact(e.added[a.GetSequence()-1], a) {
			wrongf("parcel %d is not what was sent", a.GetSequence())
		}
	}

	for sequence, n := range count {
		if n > 1 {
			wrongf("parcel %d has arrived %d times", sequence, n)
		}
	}

	for sequence := range e.reached {
		if count[sequence] == 0 {
			wrongf("parcel %d was answered and has not arrived", sequence)
		}
	}

	return all
}

// intact tells whether a message has come as it was sent.
func intact(p *link.Parcel, a link.Arrival) bool {
	return a.Err != nil || string(p.Packet.GetMessage()) == string(a.GetBody())
}
