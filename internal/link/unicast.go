package link

import (
	"context"
	"errors"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link/calls"
	"github.com/minogrpc/session/internal/parcel"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unicast implements transport with a call for each parcel.
type unicast struct {
	link *Link
	conn Conn
	pool *calls.Pool
}

func newUnicast(l *Link, conn Conn) *unicast {
	u := &unicast{link: l, conn: conn}
	u.pool = calls.NewPool(calls.NewLanes(&l.box, l.PerLane), l.Calls, calls.Host{
		Lock:  &l.mu,
		Start: l.wg.Go,
		Live:  func() bool { return l.state == open || l.state == closing },
		Taken: u.taken,
		Carry: u.carry,
	})

	return u
}

func (u *unicast) push(p *Parcel) {
	u.pool.Push(p)
	u.pool.Wake()
}

func (u *unicast) wake() { u.pool.Wake() }

// flush has nothing to do: what is pushed has woken a worker.
func (u *unicast) flush() {}

func (u *unicast) expired(parcels []*Parcel, now time.Time) {
	u.pool.Sweep(parcels, now)

	for range parcels {
		u.pool.Wake()
	}

	if u.pool.Ready() {
		u.pool.Wake()
	}
}

func (u *unicast) due() time.Time  { return u.pool.Due() }
func (u *unicast) drained()        { u.pool.Clear() }
func (u *unicast) busy() bool      { return false }
func (u *unicast) connected() bool { return true }
func (u *unicast) end()            { u.pool.Stop() }
func (u *unicast) cut()            {}

func (u *unicast) free() {
	_ = contain.Do(u.conn.Release) // There is nothing more to end.
}

func (u *unicast) goodbye() bool {
	ends, err := contain.Call(func() (bool, error) { return u.conn.Goodbye(), nil })

	return ends && err == nil
}

// taken is called when a worker has looked for a parcel.
func (u *unicast) taken(some bool) {
	// Splits, and lanes that have become full, are something to wait for.
	u.link.armLocked()

	if !some {
		u.link.flushedLocked()
	}
}

// carry hands a parcel over and reports what became of it.
func (u *unicast) carry(p *Parcel, spoiled error) {
	l := u.link

	if spoiled != nil {
		l.failed(p, spoiled)

		return
	}

	ctx, cancel := context.WithDeadline(l.ctx, p.Deadline)
	defer cancel()

	ack, err := contain.Call(func() (*ptypes.Ack, error) { return u.conn.Carry(ctx, p) })
	if err == nil {
		l.tell(func() { l.Owner.Sent(l, p) })
	}

	if errors.Is(err, ErrRefused) {
		u.refused(p)
	}

	if err != nil && !l.Sticky && IsLoss(err) {
		// The parcel stays in the outbox of a lost link: the owner finds it there,
		// in its place. Only a closing link is not lost by this.
		l.Fail(err)
	}

	switch {
	case !u.finished(p, calls.Late(ack, err)):
	case err != nil:
		l.failed(p, err)
	default:
		l.answered(p, parcel.AnswerOf(ack))
	}
}

// refused notes that the neighbour has not taken a parcel.
func (u *unicast) refused(p *Parcel) {
	u.link.mu.Lock()
	defer u.link.mu.Unlock()

	if u.link.box.Holds(p) {
		p.Refused = true
	}
}

// finished takes a parcel out of the outbox whose call has ended. It returns false when its
// outcome is known already, or is for the owner of a lost link to find.
func (u *unicast) finished(p *Parcel, late bool) bool {
	l := u.link

	l.mu.Lock()
	defer l.mu.Unlock()

	if l.state >= lost || !l.box.Remove(p) {
		return false
	}

	u.pool.Left(p)

	if !late {
		u.pool.Moved(p)
	}

	l.flushedLocked()

	return true
}

// read watches the stream of a connection that takes calls.
func (u *unicast) read() {
	l := u.link

	for {
		p, err := contain.Call(u.conn.Recv)
		if err != nil {
			l.Ended()
			l.Fail(err)

			return
		}

		l.tell(func() { l.Owner.Received(l, p) })
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
