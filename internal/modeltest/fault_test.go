package modeltest_test

import (
	"fmt"
	"time"

	"pgregory.net/rapid"
)

// The actions of this file draw what goes wrong, and what becomes right again.

func drawCut(t *rapid.T, sc *scenario) step {
	a, b := anyLink(t, sc)

	return step{fmt.Sprintf("cut n%d from n%d", a, b), func(w *world) {
		w.fault(a, b)
		w.network.Cut(host(a), host(b))
	}}
}

// drawBlink draws an outage of a link that is shorter than what a duplex link takes to
// be given up: that costs time, and nothing else.
func drawBlink(t *rapid.T, sc *scenario) step {
	a, b := anyLink(t, sc)
	frozen := rapid.SampledFrom([]time.Duration{0, 0, time.Second}).Draw(t, "frozen for")

	return step{fmt.Sprintf("cut n%d from n%d, for no time, and freeze it for %v", a, b, frozen), func(w *world) {
		// What is under way would be lost with the set-up of a link.
		w.quiet()
		w.blink(a, b)

		w.network.Cut(host(a), host(b))
		w.network.Heal(host(a), host(b))

		if frozen > 0 {
			w.network.Freeze(host(a), host(b))
			w.network.Freeze(host(b), host(a))
			time.Sleep(frozen)
			w.network.Heal(host(a), host(b))
		}
	}}
}

func drawHeal(t *rapid.T, sc *scenario) step {
	a, b := anyLink(t, sc)

	return step{fmt.Sprintf("heal n%d and n%d", a, b), func(w *world) { w.network.Heal(host(a), host(b)) }}
}

func drawHealAll(*rapid.T, *scenario) step {
	return step{"heal everything", func(w *world) { w.healAll() }}
}

func drawFreeze(t *rapid.T, sc *scenario) step {
	a, b := anyLink(t, sc)
	both := rapid.Bool().Draw(t, "both")

	text := fmt.Sprintf("freeze n%d to n%d", a, b)
	if both {
		text += ", and back"
	}

	return step{text, func(w *world) {
		w.fault(a, b)
		w.network.Freeze(host(a), host(b))

		if both {
			w.network.Freeze(host(b), host(a))
		}
	}}
}

func drawSilence(t *rapid.T, sc *scenario) step {
	a := anyNode(t, sc)

	return step{fmt.Sprintf("freeze n%d from and to everybody", a), func(w *world) {
		w.fault(a, a)

		for b := range sc.nodes {
			// Nothing freezes what a node sends to itself.
			if b != a {
				w.network.Freeze(host(a), host(b))
				w.network.Freeze(host(b), host(a))
			}
		}
	}}
}

func drawDelay(t *rapid.T, sc *scenario) step {
	a, b := anyLink(t, sc)
	delays := []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond, time.Second}
	d := rapid.SampledFrom(delays).Draw(t, "delay")

	return step{fmt.Sprintf("delay n%d to n%d by %v", a, b, d), func(w *world) {
		w.slow(a, b)

		// Nothing promises that a set-up succeeds over a link like that.
		if d >= time.Second {
			w.fault(a, b)
		}

		w.network.Delay(host(a), host(b), d)
	}}
}

func drawRefuse(t *rapid.T, sc *scenario) step {
	a := anyNode(t, sc)

	if rapid.Bool().Draw(t, "no more") {
		return step{fmt.Sprintf("n%d accepts connections again", a), func(w *world) { w.network.AllowDial(host(a)) }}
	}

	return step{fmt.Sprintf("n%d refuses new connections", a), func(w *world) {
		w.fault(a, a)
		w.network.RefuseDial(host(a))
	}}
}

func drawStop(t *rapid.T, sc *scenario) step {
	a := anyNode(t, sc)

	return step{fmt.Sprintf("stop n%d", a), func(w *world) { w.stop(a) }}
}

func drawStart(t *rapid.T, sc *scenario) step {
	a := anyNode(t, sc)

	return step{fmt.Sprintf("start n%d again", a), func(w *world) { w.restart(a) }}
}
