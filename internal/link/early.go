package link

import (
	"context"
	"errors"
	"time"

	"github.com/minogrpc/session/internal/contain"
)

// anticipate goes on with a stream that the neighbour has not accepted yet: what waits leaves at once.
// Nothing is read before the neighbour has accepted, so that the owner is told of that first.
func (l *Link) anticipate(f Frames) {
	l.mu.Lock()
	d := newDuplex(l, f)
	l.setLocked(d)

	late := l.state > closing
	if late {
		// Whoever has ended the link has found no stream yet.
		d.end()
	}
	l.mu.Unlock()

	if late {
		l.unbound()
		d.cut()

		return
	}

	d.flush()

	said, err := contain.Call(f.Await)
	l.unbound()

	if err != nil {
		l.refused(d, err)

		return
	}

	if l.accepted(d, said) {
		l.tell(func() { l.Owner.Opened(l) })
		d.serve(f.Stream)
	}
}

// accepted notes what the neighbour says when it accepts the stream. It returns false when the link has
// ended meanwhile.
func (l *Link) accepted(d *duplex, said Accepted) bool {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.state > closing {
		return false
	}

	l.opened, l.tenure = true, said.Tenure
	close(l.dialled)

	d.unanswered = false
	d.patience = patienceFor(l.Patience, said.Wait)
	d.machine.Accepted(d.patience, time.Now())
	d.beat.Reset(d.machine.FirstTick())

	return true
}

// refused ends a link whose neighbour has not accepted the stream. Only if it says so itself, nothing of
// what has left will arrive.
func (l *Link) refused(d *duplex, cause error) {
	if l.ctx.Err() != nil {
		cause = context.Cause(l.ctx)
	}

	// From now on nothing leaves any more.
	d.frameMu.Lock()
	d.breakOff(d.Stream, cause)
	d.frameMu.Unlock()

	if errors.Is(cause, ErrRefused) {
		l.mu.Lock()

		for _, p := range l.box.All() {
			p.Refused = true
		}
		l.mu.Unlock()
	}

	l.Ended()
	l.Fail(cause)
}
