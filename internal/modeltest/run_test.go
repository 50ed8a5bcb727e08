package modeltest_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/minogrpc"
)

// run plays the case to its end.
func (w *world) run() {
	w.open()

	for i, s := range w.steps {
		w.notef("step %d: %s", i+1, s.text)
		s.do(w)
	}

	w.notef("the end: heal everything, let everybody read, and wait")
	w.healAll()

	w.resumeAll()
	time.Sleep(w.outcome + session.DefaultAdoptionGrace + rest)
	w.probe()
	w.close()
	w.check()
}

// rest is more time than there are pauses and other delays in the library after
// which something is tried again.
const rest = 15 * time.Second

// probe sends to all who must be reached now that nothing is wrong any more.
// Promise L3: a node that comes back is used again in the same session.
func (w *world) probe() {
	if w.ended(orchestrator) {
		return
	}

	var alive []place

	for _, p := range w.players {
		if !w.ended(p) {
			alive = append(alive, p)
		}
	}

	w.notef("all of %v must be reached", alive)
	w.send(orchestrator, w.players, 0, true, alive...)

	for _, p := range alive {
		// What is small about the queues is not what this is about.
		w.quiet()
		w.send(p, append(alive, orchestrator), 0, true, append(alive, orchestrator)...)
	}
}

// ended tells whether the newest session of a place has ended, and its node has not
// been started again since. Nobody starts the orchestrator again.
func (w *world) ended(p place) bool {
	current := w.current(p)

	w.mu.Lock()
	defer w.mu.Unlock()

	return current != nil && current.ended > 0 && (p == orchestrator || current.life == w.starts[p.node()])
}

// close ends the stream and stops the nodes. Promise L6: nothing is left.
func (w *world) close() {
	w.quiet()
	w.checkAlive()
	w.notef("cancel the stream")
	w.cancel()

	time.Sleep(minogrpc.DefaultIdleTimeout + session.DefaultAdoptionGrace + rest)

	w.mu.Lock()
	for p, parts := range w.parts {
		for _, part := range parts {
			if part.ended == 0 {
				w.violatedLockedf("%v has not ended", p)
			}
		}
	}
	w.mu.Unlock()

	if n := w.conns.Load(); n != 0 {
		w.violatedf("%d connections are left", n)
	}

	for i := range w.running {
		w.stop(i)
	}

	w.network.Close()
}

// report returns what is printed for a case that has gone wrong.
func (w *world) report() string {
	w.mu.Lock()
	defer w.mu.Unlock()

	var b strings.Builder

	fmt.Fprintf(&b, "not as promised:\n    %s\nthe case: %v\n", strings.Join(w.wrong, "\n    "), w.scenario)

	for i, s := range w.steps {
		fmt.Fprintf(&b, "%6d. %s\n", i+1, s.text)
	}

	fmt.Fprintf(&b, "what happened:\n%s", strings.Join(w.timeline, "\n"))

	return b.String()
}
