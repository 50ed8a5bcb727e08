package modeltest_test

import (
	"flag"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var (
	soak = flag.Duration("soak", 0, "go on with new cases for that long")

	// A case does not decide in which order goroutines run. Where that matters, a
	// failure only becomes a small one when each case has several chances.
	again = flag.Int("again", 1, "play each case so often, for failures that come and go")
)

// profiles are what can happen besides messages. There are 30 cases of each,
// unless -rapid.checks says otherwise.
var profiles = []struct {
	name    string
	actions []action
}{
	{"nothing goes wrong for long", []action{drawBlink}},
	{"links break", []action{drawCut, drawCut, drawBlink, drawDelay, drawHeal, drawHealAll, drawRefuse}},
	{"links go silent", []action{drawFreeze, drawFreeze, drawSilence, drawDelay, drawHeal, drawHealAll}},
	{"nodes stop", []action{drawStop, drawStop, drawDelay, drawStart}},
	{"everything goes wrong", []action{
		drawCut, drawBlink, drawFreeze, drawSilence, drawDelay, drawRefuse, drawHeal, drawHealAll, drawStop, drawStart,
	}},
}

// Promises O1, L2, M2, M3, R1, L3, L6 and L8, for whatever happens.
func TestModel(t *testing.T) {
	for began := time.Now(); ; {
		for _, profile := range profiles {
			t.Run(profile.name, func(t *testing.T) {
				rapid.Check(t, func(rt *rapid.T) {
					// Most of what happens are messages, and time that passes.
					cases := rapid.Custom(func(rt *rapid.T) *scenario { return drawScenario(rt, profile.actions) })

					drawn := cases.Draw(rt, "case")
					for range *again {
						if report := play(t, drawn); report != "" {
							rt.Fatalf("%s", report)
						}
					}
				})
			})
		}

		if t.Failed() || time.Since(began) >= *soak {
			return
		}
	}
}

// play plays a case in a bubble and returns what has gone wrong, or nothing.
func play(t *testing.T, sc *scenario) (report string) {
	var w *world

	// What is left of a case, or waits for ever, is a panic of the bubble.
	defer func() {
		if r := recover(); r != nil {
			w.violatedf("%v", r)
			report = w.report()
		}
	}()

	synctest.Test(t, func(*testing.T) {
		w = newWorld(sc)
		w.run()
	})

	if len(w.wrong) == 0 {
		return ""
	}

	return w.report()
}
