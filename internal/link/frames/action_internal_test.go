package frames

import "fmt"

// action is something that may happen next.
type action struct {
	kind kind
	side int
}

type kind int

const (
	adds kind = iota
	writes
	writesInVain
	writesNothing
	reads
	delivers
	notices
	offers
	answers
	dialsAgain
	givesUp
	waitsNoLonger
	flushed
	hurriesUp
	// Those that follow need not happen.
	cuts
	silences
	closes
	ticks
	turns
)

func (a action) String() string {
	names := []string{
		"adds", "writes", "writes in vain", "is not taken a frame", "reads", "delivers", "notices the end",
		"is offered line", "is answered over line", "dials again", "gives up", "waits no longer", "has flushed",
		"hurries", "cut", "hears nothing", "closes", "ticks", "turns",
	}

	if a.kind == cuts {
		return fmt.Sprintf("line %d is cut", a.side)
	}

	return fmt.Sprintf("%d %s", a.side, names[a.kind])
}

// actions returns all that may happen next, and whether one of them has to.
func (w *world) actions(list []action) (all []action, moves bool) {
	for side := range w.nodes {
		list = w.actionsOf(side, list)
	}

	for i := 2; i < maxLines; i++ {
		l := &w.lines[i]
		if l.offered && w.nodes[far].taken == nil && w.nodes[near].phase != gone {
			list = append(list, action{offers, i})
		}

		if l.answered && !l.cut && w.nodes[near].dialled == i {
			list = append(list, action{answers, i})
		}
	}

	moves = len(list) > 0

	return w.mayHappen(list), moves
}

func (w *world) actionsOf(side int, list []action) []action {
	n := &w.nodes[side]

	if n.phase == lives && n.added < w.parcels {
		list = append(list, action{adds, side})
	}

	if n.line != 0 {
		list = w.streamActions(side, list)
	}

	if n.phase == lives {
		return w.brokenActions(side, list)
	}

	idle := n.taken == nil && n.box.Len() == 0 && !n.busy()
	if n.phase == flushes && (idle || !n.m.Connected()) {
		list = append(list, action{flushed, side})
	}

	if n.phase == parts && (n.line == 0 || side == far && n.m.left) {
		list = append(list, action{givesUp, side})
	}

	return list
}

// brokenActions are those of an end that waits for another stream.
func (w *world) brokenActions(side int, list []action) []action {
	n := &w.nodes[side]

	switch {
	case side == far && n.line == 0 && w.nodes[near].phase == gone:
		return append(list, action{waitsNoLonger, side})
	case side == far || n.dialled == 0:
		return list
	}

	switch l := &w.lines[n.dialled]; {
	case l.refused:
		return append(list, action{givesUp, side})
	case l.cut:
		return append(list, action{dialsAgain, side})
	default:
		return list
	}
}

// busy is what the driver asks before it ends the flush.
func (n *node) busy() bool {
	return n.m.Busy()
}

func (w *world) streamActions(side int, list []action) []action {
	n := &w.nodes[side]
	l := &w.lines[n.line]
	dead := l.cut || side == near && l.over || side == far && l.left

	// Whatever is written to nobody changes nothing.
	if n.m.Writable() && n.m.Due() && w.nodes[1-side].phase != gone {
		switch {
		case dead:
			list = append(list, action{writesInVain, side}, action{writesNothing, side})
		case len(l.frames[1-side]) < w.inFlight:
			list = append(list, action{writes, side})
		}
	}

	return w.readActions(side, dead, list)
}

// readActions are those of an end that reads a stream.
func (w *world) readActions(side int, dead bool, list []action) []action {
	l := &w.lines[w.nodes[side].line]

	if w.nodes[side].taken != nil {
		return append(list, action{delivers, side})
	}

	waits := len(l.frames[side]) > 0
	if waits {
		list = append(list, action{reads, side})
	}

	// The end of a stream that has been given up may overtake what is on its way.
	if dead && (!waits || l.left) {
		list = append(list, action{notices, side})
	}

	return list
}

// mayHappen adds what need not happen.
func (w *world) mayHappen(list []action) []action {
	if w.cuts < w.bound.cuts {
		for i := 1; i < maxLines; i++ {
			if w.inUse(i) {
				list = append(list, action{cuts, i})
			}
		}
	}

	for side := range w.nodes {
		list = w.mayHappenAt(side, list)
	}

	return list
}

// mayHappenAt adds what need not happen at one end.
func (w *world) mayHappenAt(side int, list []action) []action {
	n := &w.nodes[side]

	if w.quiet < w.silences && n.phase == lives && n.line != 0 && n.taken == nil {
		list = append(list, action{silences, side})
	}

	if n.phase == lives && w.closed < w.goodbyes {
		list = append(list, action{closes, side})
	}

	if w.hurries && n.phase == flushes {
		list = append(list, action{hurriesUp, side})
	}

	if w.ticks && n.line != 0 && !n.m.beat && n.phase != gone {
		list = append(list, action{ticks, side})
	}

	if w.turned < w.turns && w.nodes[near].phase == lives {
		list = append(list, action{turns, near})
	}

	return list
}

// inUse tells whether a line can still be cut.
func (w *world) inUse(i int) bool {
	n, l := &w.nodes[near], &w.lines[i]
	opening := i == n.dialled && (l.offered || l.answered)

	return !l.cut && (i == n.line || opening)
}

// do lets something happen.
func (w *world) do(a action) {
	switch a.kind {
	case offers:
		w.offer(a.side)
	case answers:
		w.answer(a.side)
	case cuts:
		w.cuts++
		w.sever(a.side)
	default:
		w.doAt(a)
	}
}

// doAt lets something happen at one end.
func (w *world) doAt(a action) {
	steps[a.kind](w, a.side)
}

// steps are what happens at one end.
var steps = [...]func(w *world, side int){
	adds:          (*world).add,
	writes:        func(w *world, side int) { w.write(side, true) },
	writesInVain:  func(w *world, side int) { w.write(side, true) },
	writesNothing: func(w *world, side int) { w.write(side, false) },
	reads:         (*world).read,
	delivers:      (*world).deliver,
	notices:       (*world).notice,
	dialsAgain:    func(w *world, _ int) { w.dial() },
	givesUp:       (*world).leave,
	waitsNoLonger: (*world).leave,
	flushed:       func(w *world, side int) { w.part(side, false) },
	hurriesUp:     func(w *world, side int) { w.part(side, true) },
	silences:      (*world).silence,
	closes: func(w *world, side int) {
		w.closed++
		w.close(side)
	},
	ticks: func(w *world, side int) { w.nodes[side].m.Tick(still) },
	turns: func(w *world, side int) {
		w.turned++
		w.nodes[side].m.SetCut(w.turned%2 == 1)
	},
}
