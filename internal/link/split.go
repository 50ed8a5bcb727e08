package link

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A parcel for several destinations has one answer, which comes when the slowest of
// them has settled. So the lane of a set with a member that does not answer fills up,
// and would hold up the others for as long. Such a lane is split: what waits in it
// goes to each destination alone, from the lane of that, where only the destination
// that does not answer is waited for.

// patience is how long a lane may be full without an answer to any of its calls. It
// is long enough that a burst to slow but healthy nodes is sent in one piece.
const patience = time.Second

// errPart is what is wrong with a packet that does not give what it holds.
var errPart = errors.New("the packet has no part for one of its destinations")

// watch notes that a lane is full. That a call has run out of time, and another one
// has taken its place, changes nothing.
func (b *outbox) watch(l *lane) {
	if l.since.IsZero() {
		l.since = time.Now()
	}

	if b.due.IsZero() && !l.stuck {
		b.due = l.since.Add(patience)
	}
}

// moved notes that the neighbour has answered a parcel, and so goes on.
func (b *outbox) moved(p *Parcel) {
	l := b.lanes[p.queue]
	if l != nil {
		l.since, l.stuck = time.Time{}, false
	}
}

// late tells whether the end of a call only says that somebody has waited for long
// enough: this node, or one behind the neighbour.
func late(ack *ptypes.Ack, err error) bool {
	if err != nil {
		return errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
	}

	return slices.ContainsFunc(ack.GetFailures(), func(f *ptypes.Failure) bool {
		return f.GetReason() == ptypes.Reason_REASON_TIMEOUT
	})
}

// findStuck makes the lanes ready that have been full for too long. They are stuck
// until one of their calls is answered, so that what is added to them meanwhile does not
// wait at all.
func (b *outbox) findStuck(now time.Time) {
	if b.due.After(now) {
		return
	}

	b.due = time.Time{}

	for _, l := range b.lanes {
		if !l.divisible || l.stuck || !b.full(l) {
			continue
		}

		due := l.since.Add(patience)

		switch {
		case !due.After(now):
			l.stuck = true
			b.refresh(l)
		case b.due.IsZero() || due.Before(b.due):
			b.due = due
		}
	}
}

// split moves one destination of the first parcel of a stuck lane to the lane of its
// own. One at a time it needs the least room, and what has been split leaves in
// between. Where there is no room, the lane is left alone for a while.
//
// It returns the parcel, which is not in the outbox any more, when it is spoiled.
func (b *outbox) split(l *lane) *Parcel {
	p := l.waiting[0]

	if len(p.Keys) == 1 {
		b.enqueue(l.pop())
		b.refresh(l)

		return nil
	}

	part, err := b.detach(p)

	switch {
	case err != nil:
		b.release(l.pop())
		b.refresh(l)

		p.spoiled = err

		return p
	case part == nil:
		l.since, l.stuck = time.Time{}, false
		b.watch(l)
	default:
		// It still counts for its full size, which is a few addresses too much.
		b.discount(part.Keys[0], p.size)
		b.hold(part, part.size)
		b.enqueue(part)
		b.refresh(l)
	}

	return nil
}

// detach takes the first destination out of a parcel that nobody else reads yet. It
// returns a parcel for that alone, for which there is room, nil if there is none, or
// an error of the packet, which then is not to be used any more.
func (b *outbox) detach(p *Parcel) (*Parcel, error) {
	// The packet may reuse the array that it has given us.
	dest, rest := p.Dests[0], slices.Clone(p.Dests[1:])
	part := &Parcel{Header: p.Header, Dests: []mino.Address{dest}, Keys: p.Keys[:1:1], order: p.order}
	reserved := false

	// The lock of the link is held as that of the session is where routes are decided:
	// a packet of the router does not block.
	err := contain.Do(func() {
		part.size = len(p.Packet.GetMessage()) + len(part.Keys[0])

		reserved = b.reserve(part.size)
		if reserved {
			part.Packet = p.Packet.Slice(dest)
		}
	})

	switch {
	case err == nil && !reserved:
		return nil, nil
	case err == nil && part.Packet == nil:
		err = errPart
	}

	if err != nil {
		if reserved {
			b.budget.Release(part.size)
		}

		return nil, fmt.Errorf("%w: %w", ErrPacket, err)
	}

	p.Dests, p.Keys = rest, p.Keys[1:]

	return part, nil
}

// reserve takes what one more parcel of that size needs, if there is room for it.
func (b *outbox) reserve(size int) bool {
	return len(b.held) < b.maxPackets && b.bytes+size <= b.maxBytes && b.budget.Reserve(size)
}
