package link

import (
	"context"
	"errors"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link/frames"
)

// Resume goes on with a stream that the neighbour has opened after a break, in which
// it says what it has received. accept is called with what this end has received,
// before anything is written. It returns false when the link cannot go on.
func (l *Link) Resume(stream Stream, epoch, received uint64, accept func(received uint64)) bool {
	d := l.duplex()
	if d == nil {
		return false
	}

	// The frame that is being taken counts as received.
	d.frameMu.Lock()
	defer d.frameMu.Unlock()

	l.mu.Lock()
	before := d.stream
	ok := d.continueLocked(stream, epoch, received) == nil

	if ok {
		accept(d.machine.Received())
		d.wake()
	}
	l.mu.Unlock()

	if ok && before != nil {
		// The neighbour knew first that it had broken.
		_ = contain.Do(before.Release) // There is nothing to do about its panic.
	}

	return ok
}

// continueLocked makes a stream the current one.
func (d *duplex) continueLocked(stream Stream, epoch, received uint64) error {
	if d.link.state != open {
		return ErrGone
	}

	err := d.machine.Opened(epoch, received, time.Now())
	if err == nil {
		d.stream, d.epoch, d.quit = stream, epoch, nil
	}

	if errors.Is(err, frames.ErrOver) {
		return ErrGone
	}

	return err
}

// reopen decides how to go on when a stream has ended, and returns the next one to
// read, or nil.
func (d *duplex) reopen(stream Stream, cause error) Stream {
	l := d.link

	d.frameMu.Lock()
	cause = d.causeOf(stream, cause)
	verdict, current := d.breakOff(stream, cause)
	d.frameMu.Unlock()

	if !current {
		// There is another stream already, or the neighbour was silent for too long.
		return nil
	}

	switch verdict {
	case frames.Over:
		l.Ended()
		l.Fail(cause)
	case frames.Redial:
		return d.redial(cause)
	case frames.Wait:
	}

	return nil
}

// causeOf returns why a stream has ended, for a reader that got that error from it.
func (d *duplex) causeOf(stream Stream, err error) error {
	d.link.mu.Lock()
	defer d.link.mu.Unlock()

	// After an error of the protocol it does not matter why else it would have ended.
	if d.quit == nil || d.stream != stream || errors.Is(err, frames.ErrProtocol) {
		return err
	}

	return d.quit
}

// breakOff gives up a stream, and tells whether it was the current one and how the link
// goes on. At the end that does not dial it tells the owner of the break, if it is one. It is
// called with frameMu held.
func (d *duplex) breakOff(stream Stream, cause error) (verdict frames.Verdict, current bool) {
	l := d.link

	l.mu.Lock()

	if d.stream != stream {
		l.mu.Unlock()

		return frames.Over, false
	}

	d.stream = nil
	verdict = d.machine.Ended(cause, time.Now())

	if l.state != open {
		verdict = frames.Over
	}
	l.mu.Unlock()

	d.letGo(stream)

	if verdict == frames.Wait {
		l.tell(func() { l.Owner.Broken(l, cause) })
	}

	return verdict, true
}

// dialAgain calls what may not be ours.
func (d *duplex) dialAgain(ctx context.Context, next Next) (stream Stream, theirs uint64, err error) {
	defer contain.Recover(&err)

	return d.Redial(ctx, next)
}

// probe opens the next stream, and makes it the current one.
func (d *duplex) probe(ctx context.Context, fresh bool) (Stream, error) {
	l := d.link

	l.mu.Lock()
	epoch, received := d.machine.NextEpoch()
	l.mu.Unlock()

	stream, theirs, err := d.dialAgain(ctx, Next{Epoch: epoch, Received: received, Fresh: fresh})
	if err != nil {
		return nil, err
	}

	l.mu.Lock()

	err = d.continueLocked(stream, epoch, theirs)
	if err == nil {
		d.wake()
	}
	l.mu.Unlock()

	if err != nil {
		_ = contain.Do(stream.Release) // There is nothing to do about its panic.

		return nil, err
	}

	return stream, nil
}
