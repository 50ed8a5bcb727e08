package calls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/parcel"
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

// Patience is how long a lane may be full without an answer to any of its calls. It
// is long enough that a burst to slow but healthy nodes is sent in one piece.
const Patience = time.Second

// ErrPart is what is wrong with a packet that does not give what it holds.
var ErrPart = errors.New("the packet has no part for one of its destinations")

// watch notes that a lane is full. That a call has run out of time, and another one
// has taken its place, changes nothing.
func (b *Lanes) watch(l *lane) {
	if l.since.IsZero() {
		l.since = time.Now()
	}

	if b.due.IsZero() && !l.overdue {
		b.due = l.since.Add(Patience)
	}
}

// Moved notes that the neighbour has answered a parcel, and so goes on.
func (b *Lanes) Moved(p *parcel.Parcel) {
	l := b.lanes[p.Lane]
	if l != nil {
		l.since, l.overdue = time.Time{}, false
	}
}

// Late tells whether the end of a call only says that somebody has waited for long
// enough: this node, or one behind the neighbour.
func Late(ack *ptypes.Ack, err error) bool {
	if err != nil {
		return errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
	}

	return slices.ContainsFunc(ack.GetFailures(), func(f *ptypes.Failure) bool {
		return f.GetReason() == ptypes.Reason_REASON_TIMEOUT
	})
}

// findOverdue makes the lanes ready that have been full for too long. They are overdue
// until one of their calls is answered, so that what is added to them meanwhile does not
// wait at all.
func (b *Lanes) findOverdue(now time.Time) {
	if b.due.After(now) {
		return
	}

	b.due = time.Time{}

	for _, l := range b.lanes {
		if !l.divisible || l.overdue || !b.full(l) {
			continue
		}

		due := l.since.Add(Patience)

		switch {
		case !due.After(now):
			l.overdue = true
			b.refresh(l)
		case b.due.IsZero() || due.Before(b.due):
			b.due = due
		}
	}
}

// split moves one destination of the first parcel of an overdue lane to the lane of its
// own. One at a time it needs the least room, and what has been split leaves in
// between. Where there is no room, the lane is left alone for a while.
//
// With an error it returns the parcel, which is not in the box any more.
func (b *Lanes) split(l *lane) (*parcel.Parcel, error) {
	p := l.waiting[0]

	if len(p.Keys) == 1 {
		b.Push(l.pop())
		b.refresh(l)

		return nil, nil
	}

	part, err := b.detach(p)

	switch {
	case err != nil:
		b.box.Remove(l.pop())
		b.refresh(l)

		return p, err
	case part == nil:
		l.since, l.overdue = time.Time{}, false
		b.watch(l)
	default:
		b.box.HoldPart(part, p)
		b.Push(part)
		b.refresh(l)
	}

	return nil, nil
}

// detach takes the first destination out of a parcel that nobody else reads yet. It
// returns a parcel for that alone, for which there is room, nil if there is none, or
// an error of the packet, which then is not to be used any more.
func (b *Lanes) detach(p *parcel.Parcel) (*parcel.Parcel, error) {
	// The packet may reuse the array that it has given us.
	dest, rest := p.Dests[0], slices.Clone(p.Dests[1:])
	part := &parcel.Parcel{Header: p.Header, Dests: []mino.Address{dest}, Keys: p.Keys[:1:1], Rank: p.Rank}
	reserved := false

	// The lock of the link is held as that of the session is where routes are decided:
	// a packet of the router does not block.
	err := contain.Do(func() {
		part.Counted = parcel.Size(p.Packet.GetMessage(), p.Source, part.Keys) + p.RareSize()

		reserved = b.box.Reserve(p, part.Counted)
		if reserved {
			part.Packet = p.Packet.Slice(dest)
		}
	})

	switch {
	case err == nil && !reserved:
		return nil, nil
	case err == nil && part.Packet == nil:
		err = ErrPart
	}

	if err != nil {
		if reserved {
			b.box.Return(p, part.Counted)
		}

		return nil, fmt.Errorf("%w: %w", parcel.ErrPacket, err)
	}

	p.Dests, p.Keys = rest, p.Keys[1:]

	return part, nil
}
