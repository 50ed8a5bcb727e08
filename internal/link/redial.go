package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/deadline"
	"github.com/minogrpc/session/internal/link/frames"
)

const (
	// Margin is how long before the neighbour gives the link up the end that dials does so: an
	// attempt that comes later is in vain.
	Margin = 500 * time.Millisecond

	// firstAttempt is how long the first attempt to open a stream may take, of the time in which the
	// process gets the processor, as of the patience. Each of the others may
	// take twice as long as the one before: the connection of one that hangs may be dead, but it
	// may also only be slow.
	firstAttempt = time.Second

	// An attempt that had to wait for its turn takes only that part of its time: the others that
	// wait have no more time than it had.
	crowded = 4

	// firstPause is how long after a failed attempt the second one begins. Each pause is twice the
	// one before, up to maxPause, and no longer than half of the time that is left.
	firstPause = 50 * time.Millisecond
	maxPause   = 500 * time.Millisecond
)

// patienceFor returns how long an end dials for a neighbour that waits for that time, which is 0
// if it has not said so.
func patienceFor(own, wait time.Duration) time.Duration {
	if wait <= 0 {
		return own
	}

	return min(own, max(wait-Margin, wait/2))
}

// redial tries to go on with another stream until the patience is over, or the neighbour says that
// there is no use in it. Then the neighbour is lost by what has ended the last stream, and by what
// has kept this end from opening another.
func (d *duplex) redial(cause error) Stream {
	l := d.link
	l.tell(func() { l.Owner.Redials(l, cause) })

	ctx, patience, cancel := deadline.Context(l.ctx, d.patience)
	defer cancel()

	stream, err := d.tryAgain(ctx, patience, mayBeDead(cause))
	if err == nil {
		l.tell(func() { l.Owner.Resumed(l) })

		return stream
	}

	l.Ended()
	l.Fail(fmt.Errorf("%w; the link could not go on: %w", cause, err))

	return nil
}

// mayBeDead tells whether the connection of a stream may be dead, though it looks alive, given why
// the stream has ended.
func mayBeDead(cause error) bool {
	return errors.Is(cause, ErrSilent) || errors.Is(cause, ErrUnheard) || errors.Is(cause, ErrStuck)
}

// tryAgain makes attempts to open a stream until the context is done, when the patience is over. It
// returns why the last of them has failed that had an error of its own.
func (d *duplex) tryAgain(ctx context.Context, patience *deadline.Deadline, fresh bool) (Stream, error) {
	var last error

	bound, pause := firstAttempt, firstPause

	for {
		stream, hung, err := d.attempt(ctx, bound, fresh)
		if err == nil {
			return stream, nil
		}

		// That the time is over says less than any other error.
		if last == nil || !hung {
			last = err
		}

		// Towards the end the attempts come closer, so that what heals then is not missed.
		left, _ := patience.Left()
		left = max(left/2, firstPause)

		if isFinal(err) || !sleep(ctx, min(pause, left)) {
			return nil, last
		}

		// Whoever opens the streams gives up the connection of an attempt that hangs.
		fresh = false
		bound, pause = min(2*bound, d.patience), min(2*pause, maxPause)
	}
}

// attempt waits for the turn of the link, and then tries once to open a stream. It also tells
// whether the time was over before there was an answer.
func (d *duplex) attempt(ctx context.Context, bound time.Duration, fresh bool) (stream Stream, hung bool, err error) {
	turn, err := d.link.takeTurn(ctx, false)
	if err != nil {
		return nil, true, fmt.Errorf("too many others were dialled: %w", err)
	}

	defer turn.leave()

	if turn.waited {
		bound /= crowded
	}

	ctx, _, cancel := deadline.Context(ctx, bound)
	defer cancel()

	stream, err = d.probe(ctx, fresh)

	return stream, ctx.Err() != nil, err
}

// isFinal tells whether another attempt to open a stream would end as this one did.
func isFinal(err error) bool {
	return errors.Is(err, ErrGone) || errors.Is(err, frames.ErrProtocol) || errors.Is(err, contain.ErrPanic)
}

// sleep waits for that time. It returns false when the context is done before.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()

	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
