package modeltest_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
)

// handler implements mino.Handler for a player.
type handler struct {
	mino.UnsupportedHandler

	world *world
	place place
}

// Stream implements mino.Handler.
func (h handler) Stream(out mino.Sender, in mino.Receiver) error {
	h.world.read(h.world.enter(h.place, out), in)

	return nil
}

// enter notes the beginning of a session.
func (w *world) enter(p place, out mino.Sender) *part {
	w.mu.Lock()
	defer w.mu.Unlock()

	entered := &part{
		place: p,
		life:  w.starts[p.node()],
		out:   out,
		got:   make(map[string]time.Time),
		order: make(map[string]int),
	}

	// Promise L8: a node has one handler for a stream. That of an existing one ends with its
	// parents.
	if before := w.parts[p]; len(before) > 0 && before[len(before)-1].life == entered.life && !w.isExisting(p) {
		w.violatedLockedf("%v has a second handler", p)
	}

	w.parts[p] = append(w.parts[p], entered)
	w.noteLockedf("%v begins", p)

	return entered
}

// read receives until the end of the session.
func (w *world) read(p *part, in mino.Receiver) {
	for {
		w.awaitResume(p.place)

		from, msg, err := in.Recv(context.Background())

		w.mu.Lock()
		if err != nil {
			p.ended, p.cause = w.tickLocked(), err
			w.noteLockedf("%v ends: %v", p.place, err)
			w.mu.Unlock()

			return
		}

		w.receivedLocked(p, from, strings.TrimRight(string(msg.(fake.Message)), " "))
		w.mu.Unlock()
	}
}

func (w *world) awaitResume(p place) {
	w.mu.Lock()
	defer w.mu.Unlock()

	for w.paused[p] {
		w.resumed.Wait()
	}
}

// current returns the newest session of a place, or nil.
func (w *world) current(p place) *part {
	w.mu.Lock()
	defer w.mu.Unlock()

	parts := w.parts[p]
	if len(parts) == 0 {
		return nil
	}

	return parts[len(parts)-1]
}

// tickLocked returns the next moment.
func (w *world) tickLocked() int {
	w.moment++

	return w.moment
}

// note adds to what is printed when something is wrong.
func (w *world) notef(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.noteLockedf(format, args...)
}

func (w *world) noteLockedf(format string, args ...any) {
	w.timeline = append(w.timeline, fmt.Sprintf("%10v  ", time.Since(w.began))+fmt.Sprintf(format, args...))
}

// violated notes something that must not be.
func (w *world) violatedf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.violatedLockedf(format, args...)
}

func (w *world) violatedLockedf(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
	w.noteLockedf("WRONG: "+format, args...)
}
