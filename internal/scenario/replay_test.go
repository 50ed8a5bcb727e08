package scenario_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/internal/scenario"
	"github.com/stretchr/testify/require"
)

// files is where the scenarios are.
const files = "../../testdata/scenarios/*.txt"

// TestScenarios plays every file, in the modes and over the links that it is for.
// Which promises a file shows is said in the comment that it begins with.
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob(files)
	require.NoError(t, err)
	require.NotEmpty(t, paths)

	for _, path := range paths {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		name := strings.TrimSuffix(filepath.Base(path), ".txt")

		for _, links := range scenario.AllLinks() {
			sc, err := scenario.Parse(filepath.Base(path), data, links)
			require.NoError(t, err)

			if !slices.Contains(sc.Links, links) {
				continue
			}

			for _, mode := range sc.Modes {
				t.Run(name+"/"+string(links)+"/"+string(mode), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { require.Empty(t, play(t, sc, mode, links)) })
				})
			}
		}
	}
}

// play runs a scenario from the beginning to the end, checks that nothing is left
// after, and returns what is not as it should be, by line.
func play(t *testing.T, sc *scenario.Scenario, mode scenario.Mode, links scenario.Links) []string {
	w := newWorld(t, sc, mode, links)

	for _, step := range sc.Steps {
		w.waitUntil(step)
		w.do(step)
	}

	w.end()

	if len(w.failures) > 0 {
		w.draw()
	}

	return w.failures
}

// draw writes a picture of what has happened. It stays if the tests run with -artifacts.
func (w *world) draw() {
	path := filepath.Join(w.ArtifactDir(), "traffic.svg")

	file, err := os.Create(path)
	require.NoError(w, err)
	require.NoError(w, w.record.WriteSVG(file))
	require.NoError(w, file.Close())
	w.Logf("what happened is drawn in %s (with -artifacts it stays there)", path)
}

// waitUntil waits for the time of a step. An open, which waits for the network,
// may have taken too long.
func (w *world) waitUntil(step scenario.Step) {
	left := step.At - w.now()
	if left < 0 {
		w.failf(step.Line, "it is too late for this")
	}

	time.Sleep(left) // Virtual time.
}

// do does what a step says. Steps of the same time follow each other at once, but
// what is expected is looked at when everything has come to rest.
func (w *world) do(step scenario.Step) {
	switch a := step.Action.(type) {
	case *scenario.Open:
		w.open(step, a)
	case scenario.Cancel:
		w.cancel()
	case *scenario.Send:
		w.send(step, a)
	case scenario.Fault:
		w.fault(a)
	case scenario.Life:
		w.life(step, a)
	default:
		synctest.Wait()
		w.expect(step)
	}
}

// open opens the stream and reads what comes back.
func (w *world) open(step scenario.Step, want *scenario.Open) {
	out, in, err := w.opens(w.ctx, w.players())

	switch {
	case want.Fails == "" && err != nil:
		w.failf(step.Line, "open: %v", err)
	case want.Fails != "" && err == nil:
		w.failf(step.Line, "open: it succeeds, but should fail with %q", want.Fails)
	case err != nil && !strings.Contains(err.Error(), want.Fails):
		w.failf(step.Line, "open: %v, but should fail with %q", err, want.Fails)
	case err != nil && !inside(want.Window, w.now()-step.At):
		w.failf(step.Line, "open: it fails after %v", w.now()-step.At)
	}

	if err == nil {
		w.book.begun(scenario.Orchestrator, out)
		w.tasks.Go(func() { w.listen(in) })
	}
}

// fault changes the network between one node and another, or all the others.
func (w *world) fault(f scenario.Fault) {
	cut := make(map[string][]string)

	for _, way := range w.ways(f.A, f.B) {
		a, b := host(way[0]), host(way[1])

		switch f.Kind {
		case scenario.Cut:
			cut[a] = append(cut[a], b)
		case scenario.Freeze:
			w.net.Freeze(a, b)
			w.net.Freeze(b, a)
		case scenario.Lose:
			w.net.Freeze(a, b)
		case scenario.Delay:
			w.net.Delay(a, b, f.Delay)
			w.net.Delay(b, a, f.Delay)
		case scenario.Heal:
			w.net.Heal(a, b)
		case scenario.Refuse:
			w.net.RefuseDial(a)
		case scenario.Allow:
			w.net.AllowDial(a)
		}
	}

	// A node that is cut from several loses them at once, as when it dies.
	for node, others := range cut {
		w.net.Cut(node, others...)
	}
}

// ways returns the pairs of nodes that a fault is about.
func (w *world) ways(a, b string) [][2]string {
	if b != "" {
		return [][2]string{{a, b}}
	}

	var ways [][2]string

	for i, x := range w.sc.Nodes() {
		for _, y := range w.sc.Nodes()[i+1:] {
			switch a {
			case "", x:
				ways = append(ways, [2]string{x, y})
			case y:
				ways = append(ways, [2]string{y, x})
			}
		}
	}

	return ways
}

// life stops a node, or starts it again.
func (w *world) life(step scenario.Step, a scenario.Life) {
	n := w.nodes[a.Node]

	switch a.Event {
	case scenario.Start:
		if n.stop != nil {
			w.failf(step.Line, "%s is running", a.Node)

			return
		}

		w.fault(scenario.Fault{Kind: scenario.Heal, A: a.Node})
		w.start(n)
	case scenario.Crash:
		// The dead tell nothing, and certainly not whom they have lost.
		w.book.silence(n.name, n.life)
		w.fault(scenario.Fault{Kind: scenario.Cut, A: a.Node})
		w.stop(n)
	case scenario.Stop:
		w.stop(n)
	}
}

// end takes everything down, and checks what must hold in every scenario.
func (w *world) end() {
	w.awaitOutcomes()
	w.cancel()
	w.fault(scenario.Fault{Kind: scenario.Heal})

	// The longest that anybody waits for anybody.
	time.Sleep(w.patience())
	close(w.over)
	synctest.Wait()

	w.book.checkLives(w)

	for _, s := range w.sendings {
		s.check(w)
	}

	w.checkOrder()

	for _, n := range w.nodes {
		w.stop(n)
	}

	for _, stop := range w.stopPeers {
		stop()
	}

	w.tasks.Wait()

	if n := w.net.Connections(); n != 0 {
		w.failf(0, "%d connections are left", n)
	}

	w.net.Close()
}

// expect checks what is true at a moment.
func (w *world) expect(step scenario.Step) {
	switch a := step.Action.(type) {
	case scenario.ExpectReceived:
		for _, name := range a.Nodes {
			if got := w.book.received(name); got != a.Count {
				w.failf(step.Line, "%s has received %d messages", name, got)
			}
		}
	case scenario.ExpectHandlers:
		w.sameNames(step, "handlers of", w.book.handlers(), a.Nodes)
	case scenario.ExpectLost:
		w.sameNames(step, "lost", w.book.missedBy(a.By, false), a.Nodes)
	case scenario.ExpectBroken:
		w.sameNames(step, "broken", w.book.missedBy(a.By, true), a.Nodes)
	case scenario.ExpectEnd:
		if ended, err := w.book.end(); !ended || !strings.Contains(err, a.Text) || (a.Text == "") != (err == "") {
			w.failf(step.Line, "ended: %v, error: %q", ended, err)
		}
	case scenario.ExpectQuiet:
		if last := w.book.lastSent(); last > a.Since {
			w.failf(step.Line, "a packet was sent at %v", last)
		}
	case scenario.ExpectGoroutines:
		if n := runtime.NumGoroutine() - w.collectors; n >= a.Fewer {
			w.failf(step.Line, "there are %d goroutines", n)
		}
	}
}
