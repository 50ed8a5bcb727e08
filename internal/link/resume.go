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
		d.stream, d.epoch = stream, epoch
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

// redial tries to go on with another stream, twice at most. If that does not work,
// the neighbour is lost by what has ended the last one.
func (d *duplex) redial(cause error) Stream {
	l := d.link

	ctx, cancel := context.WithTimeout(l.ctx, l.Patience)
	defer cancel()

	// Who does not answer the first time is asked again.
	first, stop := context.WithTimeout(ctx, l.Patience/2)
	defer stop()

	stream, err := d.probe(first)
	if err != nil && !errors.Is(err, ErrGone) {
		timer := time.NewTimer(frames.ProbePause)
		defer timer.Stop()

		select {
		case <-timer.C:
			stream, err = d.probe(ctx)
		case <-ctx.Done():
		}
	}

	if err == nil {
		return stream
	}

	l.Ended()
	l.Fail(cause)

	return nil
}

// dialAgain calls what may not be ours.
func (d *duplex) dialAgain(ctx context.Context, epoch, received uint64) (stream Stream, theirs uint64, err error) {
	defer contain.Recover(&err)

	return d.Redial(ctx, epoch, received)
}

// probe opens the next stream, and makes it the current one.
func (d *duplex) probe(ctx context.Context) (Stream, error) {
	l := d.link

	l.mu.Lock()
	epoch, received := d.machine.NextEpoch()
	l.mu.Unlock()

	stream, theirs, err := d.dialAgain(ctx, epoch, received)
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
