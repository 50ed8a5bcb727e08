package session

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
)

// maxAttempts bounds how often a packet is routed again. A tree of the largest height loses one
// neighbour per level at most. The bound stops a table that names lost neighbours again and
// again.
const maxAttempts = 128

var (
	errHops     = errors.New("hop limit reached")
	errUpwards  = errors.New("no node below knows it, and it came from above")
	errBack     = errors.New("the route leads back to where the packet came from")
	errNotForIt = errors.New("the orchestrator's link carries only packets for the orchestrator")
	errForgot   = errors.New("the routing table gave no route")
	errAttempts = errors.New("too many neighbours were lost on the way")
)

// dispatchLocked delivers the part of a new packet that is for this node, and routes the rest.
func (s *session) dispatchLocked(h link.Header, packet router.Packet, e *effects) {
	// All sources without a text count as one.
	h.Source, _ = keyOf(packet.GetSource())

	if s.isForMeAlone(packet) {
		s.deliverLocked(h, packet, e)

		return
	}

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
		s.routeNewLocked(h, packet, e)
	}
}

// isForMeAlone tells whether this node is the only destination. Nothing has to be taken out of such a
// packet.
func (s *session) isForMeAlone(packet router.Packet) bool {
	dests := packet.GetDestination()
	if len(dests) != 1 {
		return false
	}

	key, err := keyOf(dests[0])

	return err == nil && key == s.meKey
}

// deliverLocked puts a packet into the mailbox, and notes its outcomes.
func (s *session) deliverLocked(h link.Header, mine router.Packet, e *effects) {
	var one [1]string

	// A router may count more addresses as this node than its own.
	keys := one[:0]
	for _, dest := range mine.GetDestination() {
		keys = append(keys, mustKey(dest))
	}

	failure := s.putLocked(h, mine, e)
	if failure != nil {
		e.failPacket(h.Pending, mine, failure)

		return
	}

	for _, key := range keys {
		e.note(outcome{set: h.Pending, key: key})
	}
}

// putLocked puts a packet into the mailbox, and returns why it is not there. A second copy is. Once the
// packet is there nothing asks it any more: it may be that of an application, and panic.
func (s *session) putLocked(h link.Header, mine router.Packet, e *effects) *DeliveryError {
	var info PacketInfo

	wanted := s.witness.wantsDeliveries()
	if wanted {
		info = infoOf(mine)
	}

	delivered, reason, err := s.mailbox.deliver(h, s.neighbourLocked(h.From), mine)
	if delivered && wanted {
		e.delivered = append(e.delivered, info)
	}

	if err != nil {
		return s.reporter.failure(reason, err)
	}

	return nil
}

// strangers stands for all that are no neighbours. No address has this text.
const strangers = "?"

// neighbourLocked returns the text that stands for where a packet has come from. Anybody can
// invent strangers, which count as one.
func (s *session) neighbourLocked(from string) string {
	if from == "" || s.children[from] != nil || s.parents.byKey(from) != nil {
		return from
	}

	return strangers
}

// routeNewLocked is routeLocked for a packet that nobody else has. It goes on as it is if its table knows
// that it goes one way.
func (s *session) routeNewLocked(h link.Header, packet router.Packet, e *effects) {
	via := s.parents.tableFor(h.From)
	if via == nil || via.oneWay == nil {
		s.routeLocked(h, packet, e)

		return
	}

	gw, one := via.oneWay.NextHop(packet)
	if !one {
		s.routeLocked(h, packet, e)

		return
	}

	h.Via = via
	s.towardLocked(via, h, gw, packet, e)
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

	for _, dest := range forgotten(packet, routes, voids) {
		e.failDest(h.Pending, dest, s.reporter.failure(ReasonNoRoute, errForgot))
	}

	for dest, void := range voids {
		reason := ReasonNoRoute
		if errors.Is(void.Error, router.ErrUnreachable) {
			reason = ReasonUnreachable
		}

		e.failDest(h.Pending, dest, s.reporter.noRoute(h, reason, void.Error))
	}

	for gw, part := range routes {
		if part != nil {
			s.towardLocked(via, h, gw, part, e)
		}
	}
}

// towardLocked sends a part to the next hop, which is nil for a parent.
func (s *session) towardLocked(via *parent, h link.Header, gw mino.Address, part router.Packet, e *effects) {
	if gw == nil {
		s.upLocked(h, part, e)
	} else {
		s.downLocked(via, h, gw, part, e)
	}
}

// forgotten returns the destinations of a packet that a faulty table left out.
func forgotten(packet router.Packet, routes router.Routes, voids router.Voids) []mino.Address {
	if len(voids) == 0 && len(routes) == 1 {
		for _, part := range routes {
			if part != nil && sameDestinations(part, packet) {
				return nil
			}
		}
	}

	covered := make(map[string]struct{})
	cover := func(addr mino.Address) {
		covered[mustKey(addr)] = struct{}{}
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

	var left []mino.Address

	for _, dest := range packet.GetDestination() {
		if _, known := covered[mustKey(dest)]; !known {
			left = append(left, dest)
		}
	}

	return left
}

// sameDestinations tells whether two packets have the same destinations in the same order.
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
		s.alsoMineLocked(h, part, errUpwards, e)

		return
	}

	par := s.parents.pick(h.From, h.Failed)
	if par == nil {
		e.failPacket(h.Pending, part, s.reporter.noParent(h))

		return
	}

	for _, other := range s.parents {
		if other != par && s.parents.toward(other.key, h.From, h.Failed) == other {
			if mine := part.Slice(other.addr); mine != nil {
				s.reporter.hand(other.outlet(), h, mine, e)
			}
		}
	}

	if len(part.GetDestination()) == 0 {
		return
	}

	if isOrchestrator(par.addr) {
		// The root knows everybody else: what is not for its orchestrator has no
		// route.
		mine := part.Slice(par.addr)
		s.alsoMineLocked(h, part, errNotForIt, e)

		part = mine
	}

	if part != nil {
		s.reporter.hand(par.outlet(), h, part, e)
	}
}

// alsoMineLocked delivers a part that has no other way to go, as far as it is for this node under
// another spelling of its address. The rest has no route. Nobody has to pay for the comparison but
// packets that would fail.
func (s *session) alsoMineLocked(h link.Header, part router.Packet, otherwise error, e *effects) {
	for _, dest := range slices.Clone(part.GetDestination()) {
		if !isSameNode(dest, s.me) {
			continue
		}

		mine := part.Slice(dest)
		if mine != nil {
			s.deliverLocked(h, mine, e)
		}
	}

	e.failPacket(h.Pending, part, s.reporter.failure(ReasonNoRoute, otherwise))
}

// downLocked sends a part to a child. The first packet for a child opens the link.
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
	if l == nil && isSameNode(gw, s.me) {
		s.alsoMineLocked(h, part, errBack, e)

		return
	}

	if l == nil {
		l = s.openLocked(via, gw, key, time.Until(h.Deadline))
	}

	s.reporter.hand(l, h, part, e)
}

// hand puts a part into an outbox, or notes why there is no room.
func (r *reporter) hand(l *link.Link, h link.Header, part router.Packet, e *effects) {
	p := link.NewParcel(h, part)
	for i, dest := range p.Dests {
		p.Keys[i] = mustKey(dest)
	}

	err := l.Add(p)

	switch {
	case errors.Is(err, link.ErrClosed):
		e.fail(h.Pending, p.Keys, p.Dests, r.failureOf(err))
	case errors.Is(err, link.ErrNews):
		e.fail(h.Pending, p.Keys, p.Dests, r.failure(ReasonRejected, err))
	case err != nil:
		e.fail(h.Pending, p.Keys, p.Dests, r.failure(ReasonOverflow, err))
	default:
		e.flush(l)
	}
}

// rerouteLocked routes the parcels that a lost neighbour leaves, in their order. If refused is
// set, there is no other route for them. Each parent may be tried once more, because the parents
// have changed.
func (s *session) rerouteLocked(parcels []*link.Parcel, cause error, refused bool, e *effects) {
	for _, p := range parcels {
		s.reporter.giveUp(p, cause)

		h := p.Header
		h.Failed = nil

		switch {
		case refused, p.MayArrive() && s.noRetry:
			e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonUnreachable, cause))
		default:
			s.againLocked(h, p, cause, e)
		}
	}
}

// againLocked routes one parcel again. If that has been handed over, this is another copy, whose
// outcome is not the whole truth: giveUp has noted that.
func (s *session) againLocked(h link.Header, p *link.Parcel, cause error, e *effects) {
	h.Lost = cause
	h.Attempts++

	switch {
	case s.closed, len(s.parents) == 0 && errors.Is(cause, io.EOF):
		e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonClosed, s.endLocked()))

		return
	case h.Attempts > maxAttempts:
		e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonUnreachable, errAttempts))

		return
	}

	s.reporter.step(h.Pending, p.Keys, p.Dests, e, func() {
		packet := remainder(s.parents.tableFor(h.From), p)
		if packet == nil {
			e.fail(h.Pending, p.Keys, p.Dests, s.reporter.failure(ReasonRejected, errNoPacket))
		} else {
			s.routeLocked(h, packet, e)
		}
	})
}

// remainder returns the packet of a parcel for the destinations that are left. It makes a new
// packet if some have an outcome already: a destination that was refused must not get the
// message after all, and the neighbour may still read the old packet.
func remainder(via *parent, p *link.Parcel) router.Packet {
	if via == nil || len(p.Packet.GetDestination()) == len(p.Dests) {
		return p.Packet
	}

	return via.table.Make(p.Packet.GetSource(), p.Dests, p.Packet.GetMessage())
}
