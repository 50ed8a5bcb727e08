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
	closes
	ticks
)

func (a action) String() string {
	names := []string{
		"adds", "writes", "writes in vain", "is not taken a frame", "reads", "delivers", "notices the end",
		"is offered line", "is answered over line", "dials again", "gives up", "waits no longer", "has flushed",
		"hurries", "cut", "closes", "ticks",
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

	switch {
	case side == near && n.dialled != 0 && n.phase == lives:
		l := &w.lines[n.dialled]
		if l.refused {
			list = append(list, action{givesUp, side})
		} else if l.cut {
			list = append(list, action{dialsAgain, side})
		}
	case side == far && n.phase == lives && n.line == 0 && w.nodes[near].phase == gone:
		list = append(list, action{waitsNoLonger, side})
	}

	if n.phase == flushes {
		if n.taken == nil && n.box.Len() == 0 && !n.busy() || !n.m.Connected() {
			list = append(list, action{flushed, side})
		}
	}

	if n.phase == parts && (n.line == 0 || side == far && n.m.left) {
		list = append(list, action{givesUp, side})
	}

	return list
}

// busy is what the driver asks before it ends the flush.
func (n *node) busy() bool {
	return n.m.Busy()
}

func (w *world) streamActions(side int, list []action) []action {
	n := &w.nodes[side]
	l := &w.lines[n.line]
	dead := l.cut || side == near && l.over

	// Whatever is written to nobody changes nothing.
	if n.m.Writable() && n.m.Due() && w.nodes[1-side].phase != gone {
		switch {
		case dead:
			list = append(list, action{writesInVain, side}, action{writesNothing, side})
		case len(l.frames[1-side]) < w.inFlight:
			list = append(list, action{writes, side})
		}
	}

	switch {
	case n.taken != nil:
		list = append(list, action{delivers, side})
	case len(l.frames[side]) > 0:
		list = append(list, action{reads, side})
	case dead:
		list = append(list, action{notices, side})
	}

	return list
}

// mayHappen adds what need not happen.
func (w *world) mayHappen(list []action) []action {
	if w.cuts < w.bound.cuts {
		for i := range w.lines {
			l := &w.lines[i]
			used := i == w.nodes[near].line || i == w.nodes[near].dialled && (l.offered || l.answered)

			if i > 0 && used && !l.cut {
				list = append(list, action{cuts, i})
			}
		}
	}

	for side := range w.nodes {
		n := &w.nodes[side]

		if n.phase == lives && w.closed < w.goodbyes {
			list = append(list, action{closes, side})
		}

		if w.hurries && n.phase == flushes {
			list = append(list, action{hurriesUp, side})
		}

		if w.ticks && n.line != 0 && !n.m.beat && n.phase != gone {
			list = append(list, action{ticks, side})
		}
	}

	return list
}

// do lets something happen.
func (w *world) do(a action) {
	switch a.kind {
	case adds:
		w.add(a.side)
	case writes, writesInVain:
		w.write(a.side, true)
	case writesNothing:
		w.write(a.side, false)
	case reads:
		w.read(a.side)
	case delivers:
		w.deliver(a.side)
	case notices:
		w.notice(a.side)
	case offers:
		w.offer(a.side)
	case answers:
		w.answer(a.side)
	case dialsAgain:
		w.dial()
	case givesUp, waitsNoLonger:
		w.leave(a.side)
	case flushed:
		w.part(a.side, false)
	case hurriesUp:
		w.part(a.side, true)
	case cuts:
		w.cuts++
		w.sever(a.side)
	case closes:
		w.closed++
		w.close(a.side)
	case ticks:
		w.nodes[a.side].m.Tick(still)
	}
}
