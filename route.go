package session

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/dedupe"
	"github.com/minogrpc/session/internal/inbox"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// maxAttempts bounds how often a packet is routed again. A tree of the largest
// height loses a neighbour per level at most; it is the backstop for a table that
// names a lost neighbour again and again.
const maxAttempts = 128

var (
	errHops     = errors.New("hop limit reached")
	errUpwards  = errors.New("no node below knows it, and it came from above")
	errBack     = errors.New("the route leads back to where the packet came from")
	errNotForIt = errors.New("the orchestrator's link carries only packets for the orchestrator")
	errForgot   = errors.New("the routing table gave no route")
	errAttempts = errors.New("too many neighbours were lost on the way")
	errStale    = errors.New("too old to tell whether it was delivered before")
	errLate     = errors.New("a later message of the same sender was delivered before")
)

// dispatchLocked takes what is for this node out of a packet that is new here, and
// routes the rest.
func (s *session) dispatchLocked(h link.Header, packet router.Packet, e *effects) {
	// All those without a text count as one source.
	h.Source, _ = keyOf(packet.GetSource())

	mine := packet.Slice(s.me)
	if mine != nil {
		s.deliverLocked(h, mine, e)
	}

	switch {
	case len(packet.GetDestination()) == 0:
	case h.HopLimit == 0:
		e.failPacket(h.Pending, packet, s.reporter.failure(ReasonNoRoute, errHops))
	default:
		h.HopLimit--
		s.routeLocked(h, packet, e)
	}
}

// deliverLocked puts a packet into the queue, unless it is there or was already. What
// has kept the order of the sends until here, and has been overtaken all the same, was
// given up on its way: its sender may have been told so.
func (s *session) deliverLocked(h link.Header, mine router.Packet, e *effects) {
	var err *DeliveryError

	switch verdict := s.seen.Check(h.Source, h.Origin, h.Sequence); {
	case verdict == dedupe.Seen:
	case verdict == dedupe.Stale:
		err = s.reporter.failure(ReasonTimeout, errStale)
	case verdict == dedupe.Late && !h.Unordered:
		err = s.reporter.failure(ReasonTimeout, errLate)
	default:
		err = s.pushLocked(h, mine, e)
	}

	// A router may take more for this node than its very address.
	for _, dest := range mine.GetDestination() {
		key, _ := keyOf(dest)
		o := outcome{set: h.Pending, key: key}

		if err != nil {
			o.err = err.about(dest)
		}

		e.note(o)
	}
}

func (s *session) pushLocked(h link.Header, mine router.Packet, e *effects) *DeliveryError {
	if s.recvClosed {
		return s.reporter.failure(ReasonClosed, errCanceled)
	}

	err := s.queue.Push(mine)

	switch {
	case errors.Is(err, inbox.ErrClosed):
		return s.reporter.failure(ReasonClosed, errCanceled)
	case err != nil:
		return s.reporter.failure(ReasonOverflow, err)
	}

	s.seen.Mark(h.Source, h.Origin, h.Sequence)

	if s.witness.wantsDeliveries() {
		e.delivered = append(e.delivered, infoOf(mine))
	}

	return nil
}

// routeLocked puts the parts of a packet into the outboxes of the next hops.
func (s *session) routeLocked(h link.Header, packet router.Packet, e *effects) {
	via := s.parents.tableFor(h.From)
	if via == nil {
		e.failPacket(h.Pending, packet, s.reporter.noParent(h))

		return
	}

	h.Via = via
	routes, voids := via.table.Forward(packet)
	s.forgottenLocked(h, packet, routes, voids, e)

	for dest, void := range voids {
		reason := ReasonNoRoute
		if errors.Is(void.Error, router.ErrUnreachable) {
			reason = ReasonUnreachable
		}

		e.failDest(h.Pending, dest, s.reporter.noRoute(h, reason, void.Error))
	}

	for gw, part := range routes {
		if part == nil {
			continue
		}

		if gw == nil {
			s.upLocked(h, part, e)
		} else {
			s.downLocked(via, h, gw, part, e)
		}
	}
}

// forgottenLocked settles the destinations that a faulty table passed over.
func (s *session) forgottenLocked(h link.Header, packet router.Packet, routes router.Routes, voids router.Voids,
	e *effects,
) {
	if len(voids) == 0 && len(routes) == 1 {
		for _, part := range routes {
			if part != nil && sameDestinations(part, packet) {
				return
			}
		}
	}

	covered := make(map[string]struct{})
	cover := func(addr mino.Address) {
		key, _ := keyOf(addr)
		covered[key] = struct{}{}
	}

	for dest := range voids {
		cover(dest)
	}

	for _, part := range routes {
		if part != nil {
			for _, dest := range part.GetDestination() {
				cover(dest)
			}
		}
	}

	for _, dest := range packet.GetDestination() {
		key, _ := keyOf(dest)

		_, known := covered[key]
		if !known {
			e.failDest(h.Pending, dest, s.reporter.failure(ReasonNoRoute, errForgot))
		}
	}
}

// sameDestinations tells whether two packets have the same ones in the same order.
func sameDestinations(x, y router.Packet) bool {
	return slices.EqualFunc(x.GetDestination(), y.GetDestination(), func(a, b mino.Address) bool {
		keyA, errA := keyOf(a)
		keyB, errB := keyOf(b)

		return errA == nil && errB == nil && keyA == keyB
	})
}

// upLocked sends a part to a parent.
func (s *session) upLocked(h link.Header, part router.Packet, e *effects) {
	if h.Down {
		e.failPacket(h.Pending, part, s.reporter.failure(ReasonNoRoute, errUpwards))

		return
	}

	par := s.parents.pick(h.From, h.Failed)
	if par == nil {
		e.failPacket(h.Pending, part, s.reporter.noParent(h))

		return
	}

	if isOrchestrator(par.addr) {
		// The root knows everybody else: what is not for its orchestrator has no
		// route.
		mine := part.Slice(par.addr)
		e.failPacket(h.Pending, part, s.reporter.failure(ReasonNoRoute, errNotForIt))

		part = mine
	}

	if part != nil {
		s.handLocked(par.outlet(), h, part, e)
	}
}

// downLocked sends a part to a child, whose link is set up with its first packet.
func (s *session) downLocked(via *parent, h link.Header, gw mino.Address, part router.Packet, e *effects) {
	key, err := keyOf(gw)
	if err == nil && (key == h.From || key == s.meKey) {
		err = errBack
	}

	if err != nil {
		e.failPacket(h.Pending, part, s.reporter.failure(ReasonNoRoute, err))

		return
	}

	l := s.children.link(key)
	if l == nil {
		l = s.openLocked(via, gw, key, time.Until(h.Deadline))
	}

	s.handLocked(l, h, part, e)
}

// handLocked puts a part into an outbox.
func (s *session) handLocked(l *link.Link, h link.Header, part router.Packet, e *effects) {
	p := link.NewParcel(h, part)
	for i, dest := range p.Dests {
		p.Keys[i], _ = keyOf(dest)
	}

	err := l.Add(p)

	switch {
	case errors.Is(err, link.ErrClosed):
		e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failureOf(err))
	case err != nil:
		e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonOverflow, err))
	default:
		e.flush(l)
	}
}

// rerouteLocked routes the parcels that a lost neighbour leaves, in their order.
// With refused set there is no other route for them. Any parent may be tried again:
// which of them there are has changed.
func (s *session) rerouteLocked(parcels []*link.Parcel, cause error, refused bool, e *effects) {
	for _, p := range parcels {
		h := p.Header
		h.Failed = nil

		switch {
		case p.Sent && s.noRetry:
			e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonTimeout, cause))
		case refused:
			e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonUnreachable, cause))
		default:
			s.againLocked(h, p, cause, e)
		}
	}
}

// againLocked routes one parcel again. If the neighbour may have passed it on, this is
// another copy, and what becomes of it is not all that there is to know.
func (s *session) againLocked(h link.Header, p *link.Parcel, cause error, e *effects) {
	h.Lost = cause
	h.Attempts++

	switch {
	case s.closed, len(s.parents) == 0 && errors.Is(cause, io.EOF):
		e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonClosed, errCanceled))
	case h.Attempts > maxAttempts:
		e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonUnreachable, errAttempts))
	default:
		if h.MayHaveArrived() {
			h.Pending = pending.New(p.Keys, maybeDelivered{set: h.Pending, keys: p.Keys})
		}

		s.reporter.step(h.Pending, p.Keys, p.Dests, e, func() {
			packet := s.remainderLocked(h, p)
			if packet == nil {
				e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonRejected, errNoPacket))
			} else {
				s.routeLocked(h, packet, e)
			}
		})
	}
}

// remainderLocked returns the packet of a parcel for the destinations that are left. What
// was refused must not come a second time: there may be room for it then, and its sender
// has been told. Who has been given the packet may still read it, so that it stays.
func (s *session) remainderLocked(h link.Header, p *link.Parcel) router.Packet {
	via := s.parents.tableFor(h.From)
	if via == nil || len(p.Packet.GetDestination()) == len(p.Dests) {
		return p.Packet
	}

	return via.table.Make(p.Packet.GetSource(), p.Dests, p.Packet.GetMessage())
}
