package link_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// step is what happens next to a pair of links, and the text of it.
type step struct {
	text string
	do   func(p *pair)
}

// drawStep draws one step. Most of them are messages.
func drawStep(rt *rapid.T) step {
	switch rapid.SampledFrom([]string{
		"send", "send", "send", "send", "burst", "wait", "wait", "cut", "fuse", "freeze", "thaw", "redial",
	}).Draw(rt, "step") {
	case "send":
		return drawSend(rt, 1)
	case "burst":
		return drawSend(rt, rapid.IntRange(2, 30).Draw(rt, "count"))
	case "wait":
		d := rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 4 * time.Second}).Draw(rt, "time")

		return step{fmt.Sprint("wait ", d), func(*pair) { pass(d) }}
	case "cut":
		return step{"cut", (*pair).cut}
	case "fuse":
		n := rapid.IntRange(0, 12).Draw(rt, "fuse")

		return step{fmt.Sprint("break after ", n), func(p *pair) { p.burn(n) }}
	case "freeze":
		back := rapid.Bool().Draw(rt, "back")

		return step{fmt.Sprint("freeze ", back), func(p *pair) { p.wire().flow(back).freeze() }}
	case "thaw":
		return step{"thaw", func(p *pair) { p.wire().thaw() }}
	default:
		r := rapid.SampledFrom([]redial{fails, unanswered, hangs, fails, unanswered, refused}).Draw(rt, "redial")

		return step{fmt.Sprint("redial ", r), func(p *pair) { p.plan(r) }}
	}
}

// drawSend draws messages of one sender to one receiver.
func drawSend(rt *rapid.T, n int) step {
	up := rapid.Bool().Draw(rt, "up")
	origin := rapid.SampledFrom([]string{"o", "p"}).Draw(rt, "origin")
	key := rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "key")
	size := rapid.SampledFrom([]int{0, 10, 1000, maxFrame / 2, maxFrame, 10 * maxFrame}).Draw(rt, "size")
	wait := rapid.SampledFrom([]time.Duration{deadline, deadline, deadline, time.Second}).Draw(rt, "deadline")

	return step{
		fmt.Sprintf("send %d of %d bytes, up %v, from %s to %s, deadline %v", n, size, up, origin, key, wait),
		func(p *pair) {
			e := p.dialler
			if up {
				e = p.callee
			}

			for range n {
				if e.over() {
					return
				}

				_, err := e.offer(origin, key, size, wait)
				if err != nil {
					p.t.Error(err)
				}
			}
		},
	}
}

// over tells whether the owner knows that the link is lost. It adds nothing then.
func (e *end) over() bool {
	e.mu.Lock()
	defer e.mu.Unlock()

	return e.lost > 0 || e.goodbyes > 0
}

func (w *wire) flow(back bool) *flow {
	if back {
		return w.near.in
	}

	return w.near.out
}

func (w *wire) thaw() {
	w.near.in.thaw()
	w.near.out.thaw()
}

// burn makes the stream break after so many frames.
func (p *pair) burn(n int) {
	p.wire().fuse.Store(int64(n))
}

// plan says how the next attempt to go on ends.
func (p *pair) plan(r redial) {
	p.mu.Lock()
	defer p.mu.Unlock()

	p.redials = append(p.redials, r)
}

// heal lets everything pass from now on, and waits until it has.
func (p *pair) heal() {
	p.mu.Lock()
	p.redials, p.fuses = nil, nil
	p.mu.Unlock()

	p.wire().thaw()
	p.burn(endless)
	// The end that dials may learn last that the other one has found it silent.
	pass(3 * silence)
}

// undelivered returns what is missing while the links live: everything must have
// arrived then, and its outcome must be known.
func (p *pair) undelivered() (all []string) {
	for _, e := range []*end{p.dialler, p.callee} {
		for _, parcel := range e.added {
			if err := e.failed[parcel.Sequence]; err == nil && !e.reached[parcel.Sequence] {
				all = append(all, fmt.Sprintf("%s: parcel %d was not answered", e.name, parcel.Sequence))
			}
		}
	}

	return all
}

// play returns what has gone wrong.
func play(t *testing.T, steps []step) (wrong []string) {
	defer func() {
		if r := recover(); r != nil {
			wrong = append(wrong, fmt.Sprint(r))
		}
	}()

	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.open(endless)

		for _, s := range steps {
			s.do(p)
		}

		p.heal()

		if !p.dialler.over() && !p.callee.over() {
			wrong = p.undelivered()
		}

		p.finish()
		wrong = append(wrong, p.wrong()...)
	})

	return wrong
}

// Promises M2, L5, L6, O3: whatever happens to the streams of a link, every parcel has
// one outcome, arrives at most once and in the order of its flow, and has arrived if
// the link lives. Nothing is left when it ends.
func TestDuplex_Model(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 40).Draw(rt, "steps")

		if wrong := play(t, steps); len(wrong) > 0 {
			for _, s := range steps {
				rt.Log(s.text)
			}

			rt.Fatalf("%q", wrong)
		}
	})
}
