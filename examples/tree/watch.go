package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/minogrpc/session/examples/internal/words"
	"github.com/minogrpc/session/mino"
)

// watcher shows how a count goes on, and judges what comes of it.
type watcher struct {
	*demo

	ctx context.Context

	// asked are the indices of the players of the last request.
	asked []int

	// partial tells that the last request was not about all files.
	partial bool
}

// indices returns the indices of some players.
func (w *watcher) indices(players []mino.Address) []int {
	indices := make([]int, len(players))
	for i, player := range players {
		indices[i] = slices.Index(w.players, player)
	}

	return indices
}

// Asking implements words.Watcher.
func (w *watcher) Asking(players []mino.Address, files int) {
	w.asked, w.partial = w.indices(players), files < len(w.files)
	text, slow := "%s are asked for their shares of %s.", w.slow

	switch {
	case w.partial && len(players) == 1:
		text, slow = "The one node that is left is asked for the other %[2]s.", slow/3
	case w.partial:
		text, slow = "The %s that are left are asked for the other %s.", slow/3
	case w.gone != root:
		text = "%s are asked for their shares of %s again, in the same stream."
	}

	w.stage.say(w.ctx, fmt.Sprintf(text, screen.Count(len(players), "node"), screen.Count(files, "file")))
	w.stage.set(func(b *board) { b.ask(w.asked, files, slow) })
}

// Counted implements words.Watcher.
func (w *watcher) Counted(from mino.Address, _ words.Reply, _, _, _ int) {
	i := slices.Index(w.players, from)
	w.stage.set(func(b *board) { b.players[i].state = replied })
}

// Waiting implements words.Watcher. A terminal shows as much all the time.
func (w *watcher) Waiting(players []mino.Address) {
	if w.live {
		return
	}

	names := look(w.stage, func(b *board) string { return b.names(w.indices(players)) })
	w.stage.say(w.ctx, "  waiting for "+names)
}

// Outcomes implements words.Watcher.
func (w *watcher) Outcomes(lost words.Lost) {
	causes := make(map[string]string)

	for addr, failure := range lost {
		causes[addr.String()] = fmt.Sprintf("%s says: %v", w.nameOf(fmt.Sprint(failure.Hop)), failure.Cause)
	}

	w.stage.set(func(b *board) {
		for _, i := range w.asked {
			p := &b.players[i]
			p.outcome = "delivered"

			if failure := lost[w.players[i]]; failure != nil {
				p.outcome = failure.Reason.String()
				p.state, p.note = stopped, p.outcome
			}
		}
	})

	if !w.partial {
		w.stage.table(causes)
	}

	w.judge(lost)
}

// judge notes which outcomes are not as they should be: the message has reached everybody but the node that has been
// stopped, whose parent knew that it is gone.
func (w *watcher) judge(lost words.Lost) {
	for _, i := range w.asked {
		name, failure := w.nodes[i].name, lost[w.players[i]]

		var err error

		switch isGone := i == w.gone && w.gone != root; {
		case isGone && failure == nil:
			err = fmt.Errorf("%s has been stopped, and has replied: %w", name, errPromise)
		case isGone && failure.Reason != session.ReasonUnreachable:
			err = fmt.Errorf("%s was known to be gone, and is not told to be unreachable: %w: %w",
				name, failure, errPromise)
		case !isGone && failure != nil:
			err = fmt.Errorf("%s is up, and was not reached: %w: %w", name, failure, errPromise)
		}

		w.broken = errors.Join(w.broken, err)
	}
}
