package session

import (
	"fmt"
	"slices"
	"sync"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
)

// batchSize is how many parcels of a frame are taken in one hold of the lock at most: others need it, too.
const batchSize = 64

// arrived is the door for the packets that come in a frame of a duplex link. Receipts tell the outcomes.
// Like fromStream it never waits.
func (s *session) arrived(l *link.Link, arrivals []link.Arrival) {
	for some := range slices.Chunk(arrivals, batchSize) {
		b := borrowBatch()
		s.take(l, some, b)
		b.giveBack()
	}
}

// incoming is a packet of a frame.
type incoming struct {
	in     arrival
	id     uint64
	packet router.Packet
	// mine is set when this node is the only destination, as it mostly is, and nobody follows the packet.
	// It needs no account of its destinations then: to is empty but for the size, and set is nil.
	mine bool
	to   recipients
	set  *pending.Set
	// failure is the outcome of a packet that is mine, or nil if it is here. err is why nothing of the
	// packet was taken.
	failure *DeliveryError
	err     error
}

// batch is some packets of a frame.
type batch struct {
	packets   []incoming
	delivered []uint64
	effects   effects
}

var batches sync.Pool

func borrowBatch() *batch {
	b, ok := batches.Get().(*batch)
	if !ok {
		return new(batch)
	}

	return b
}

// giveBack keeps the memory of a batch for the next one, and nothing of its packets.
func (b *batch) giveBack() {
	clear(b.packets)
	*b = batch{packets: b.packets[:0], delivered: b.delivered[:0]}
	batches.Put(b)
}

// take takes some packets of a frame, in their order. A panic of code that is not ours costs the packet
// that it is about, beside the session: the outcomes of the others are told.
func (s *session) take(l *link.Link, arrivals []link.Arrival, b *batch) {
	for _, a := range arrivals {
		b.packets = append(b.packets, s.decode(l, a))
	}

	s.takeAll(b)
	s.reporter.carryOut(&b.effects)

	for i := range b.packets {
		s.reply(l, &b.packets[i], b)
	}

	l.Delivered(b.delivered...)
}

// decode reads a packet of a frame.
func (s *session) decode(l *link.Link, a link.Arrival) incoming {
	p := incoming{id: a.GetId(), in: arrival{
		account:   l.Budget,
		from:      l.Key,
		addr:      l.Peer,
		down:      l.Down,
		identity:  a.Parcel,
		unordered: a.GetUnordered(),
		header:    a.GetHeader(),
		body:      a.GetBody(),
		err:       a.Err,
	}}

	err := s.readInto(&p)
	if err != nil {
		p.err = fmt.Errorf("packet malformed: %w", err)

		return p
	}

	s.witness.received(l.Peer, p.packet)

	if !p.mine {
		p.set = p.to.pending(&replier{reporter: &s.reporter, link: l, id: p.id})
		p.in.trace = s.witness.arrives(l.Peer, a.GetTrace(), p.packet, p.set, p.to)
	}

	return p
}

// readInto decodes a packet, and finds out whether it is mine.
func (s *session) readInto(p *incoming) (err error) {
	defer contain.Recover(&err)

	p.packet, err = s.framing.packetOf(p.in)

	switch {
	case err != nil:
	case p.packet == nil:
		err = errNothing
	case p.in.GetNews() == nil && len(p.in.GetTrace()) == 0 && s.isForMeAlone(p.packet):
		p.mine, p.to.size = true, len(p.packet.GetMessage())
	default:
		p.to, err = destinationsOf(p.packet)
	}

	return err
}

// takeAll is the step under the lock.
func (s *session) takeAll(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()

	for i := range b.packets {
		p := &b.packets[i]

		switch {
		case p.err != nil:
		case p.mine:
			s.takeMineLocked(p, &b.effects)
		default:
			p.err = s.dispatchArrivalLocked(p.in, p.packet, p.to, p.set, &b.effects)
		}
	}
}

// takeMineLocked takes a packet for this node alone.
func (s *session) takeMineLocked(p *incoming, e *effects) {
	p.failure, p.err = s.admitLocked(&p.in, p.packet, p.to)
	if p.failure != nil || p.err != nil {
		return
	}

	err := contain.Do(func() {
		h := s.numbering.arrival(p.in, s.parents.byKey(p.in.from) != nil)
		h.Source, _ = keyOf(p.packet.GetSource())
		p.failure = s.putLocked(h, p.packet, e)
	})
	if err != nil {
		s.witness.fault(err)
		p.failure = s.reporter.failure(ReasonRejected, err)
	}
}

// reply answers a packet that is mine, or that was not taken.
func (s *session) reply(l *link.Link, p *incoming, b *batch) {
	failure := p.failure

	switch {
	case p.err != nil:
		s.refused(p.in, p.set, p.err)
		failure = s.reporter.refusal(p.err)
	case !p.mine:
		return // Its outcomes are told by themselves.
	case failure == nil:
		s.witness.record.delivered.Add(1)
		b.delivered = append(b.delivered, p.id)

		return
	default:
		failure = failure.about(s.me)
		s.witness.record.fail(s.meKey, nil, failure)
		s.witness.dropped(nil, failure)
	}

	l.Reply(&ptypes.Receipt{ParcelId: p.id, Failures: []*ptypes.Failure{writeFailure(failure)}, Last: true})
}
