package link

import (
	"context"
	"errors"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// wakeLocked makes sure that a goroutine looks at the outbox. It starts one when
// none waits and the bound allows, so that their number follows the traffic.
func (l *Link) wakeLocked() {
	if l.duplex != nil {
		l.duplex.wakeLocked()

		return
	}

	if l.state != open && l.state != closing || l.conn == nil {
		return
	}

	switch {
	case l.idle > 0:
		l.idle--
		l.work.Signal()
	case l.workers < l.Calls:
		l.workers++
		l.wg.Go(l.empty)
	}
}

// empty takes what the outbox has until there is nothing, and ends when another
// goroutine waits for more already.
func (l *Link) empty() {
	for {
		p := l.next()
		if p == nil {
			return
		}

		l.carry(p)
	}
}

// next waits for a parcel. It returns nil when there is nothing left to wait for, or
// somebody else does.
func (l *Link) next() *Parcel {
	l.mu.Lock()
	defer l.mu.Unlock()

	for l.state == open || l.state == closing {
		p := l.box.take()
		// Splits, and lanes that have become full, are something to wait for.
		l.armLocked()

		if p != nil {
			// What became ready while nobody could look at it, during the set-up or
			// behind a busy lane, has not woken anybody yet.
			if len(l.box.ready) > 0 {
				l.wakeLocked()
			}

			return p
		}

		l.flushedLocked()

		if l.idle > 0 {
			break
		}

		l.idle++
		l.work.Wait()
	}

	l.workers--

	return nil
}

// flushedLocked notes that a closing link has nothing left.
func (l *Link) flushedLocked() {
	empty := len(l.box.held) == 0
	if l.duplex != nil {
		// What it replies at once to a frame goes before the goodbye.
		empty = empty && !l.duplex.taking && !l.duplex.busyLocked()
	}

	if l.state == closing && empty && !isClosed(l.flushed) {
		close(l.flushed)
	}
}

// removeLocked takes a parcel out of the outbox. It returns false when somebody
// else has done so.
func (l *Link) removeLocked(p *Parcel) bool {
	removed := l.box.remove(p)
	l.flushedLocked()

	return removed
}

// carry hands a parcel over and reports what became of it.
func (l *Link) carry(p *Parcel) {
	if p.spoiled != nil {
		l.failed(p, p.spoiled)

		return
	}

	ctx, cancel := context.WithDeadline(l.ctx, p.Deadline)
	defer cancel()

	ack, err := contain.Call(func() (*ptypes.Ack, error) { return l.conn.Carry(ctx, p) })
	if err == nil {
		l.tell(func() { l.Owner.Sent(l, p) })
	}

	if err != nil && !l.Sticky && IsLoss(err) {
		// The parcel stays in the outbox of a lost link: the owner finds it there,
		// in its place. Only a closing link is not lost by this.
		l.Fail(err)
	}

	l.mu.Lock()
	removed := l.state < lost && l.removeLocked(p)

	if removed && !late(ack, err) {
		l.box.moved(p)
	}
	l.mu.Unlock()

	switch {
	case !removed:
	case err != nil:
		l.failed(p, err)
	default:
		l.answered(p, answerOf(ack))
	}
}

// armLocked makes the expiry fire at the earliest deadline, or when lanes have to be
// looked at.
func (l *Link) armLocked() {
	earliest := l.box.alarm()

	switch {
	case len(l.box.held) == 0:
		return
	case l.expiry == nil:
		l.expiry = time.AfterFunc(time.Until(earliest), l.expire)
	case l.armed.IsZero() || earliest.Before(l.armed):
		l.expiry.Reset(time.Until(earliest))
	default:
		return
	}

	l.armed = earliest
}

// expire reports the parcels whose deadline has come, and finds the lanes that are
// stuck.
func (l *Link) expire() {
	l.mu.Lock()
	l.armed = time.Time{}
	now := time.Now()
	expired := l.box.expire(now)
	l.box.findStuck(now)

	for range expired {
		l.wakeLocked()
	}

	if len(l.box.ready) > 0 {
		l.wakeLocked()
	}

	l.flushedLocked()

	if l.state < dead {
		l.armLocked()
	}
	l.mu.Unlock()

	for _, p := range expired {
		l.failed(p, ErrExpired)
	}
}

// IsLoss tells whether the error of a call says that the neighbour is lost, and
// not only that it did not take this one packet.
func IsLoss(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrPacket) {
		return false
	}

	switch status.Code(err) {
	case codes.ResourceExhausted, codes.DeadlineExceeded, codes.InvalidArgument:
		return false
	default:
		return true
	}
}
