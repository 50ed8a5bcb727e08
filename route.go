package session

import (
	"errors"
	"fmt"
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
func (s *session) dispatchLocked(h link.Header, packet router.Packet, after *effects) {
	// All those without a text count as one source.
	h.Source, _ = keyOf(packet.GetSource())

	mine := packet.Slice(s.me)
	if mine != nil {
		s.deliverLocked(h, mine, after)
	}

	switch {
	case len(packet.GetDestination()) == 0:
	case h.HopLimit == 0:
		s.failLocked(h, packet, s.failure(ReasonNoRoute, errHops), after)
	default:
		h.HopLimit--
		s.routeLocked(h, packet, after)
	}
}

// deliverLocked puts a packet into the queue, unless it is there or was already. What
// has kept the order of the sends until here, and has been overtaken all the same, was
// given up on its way: its sender may have been told so.
func (s *session) deliverLocked(h link.Header, mine router.Packet, after *effects) {
	var err *DeliveryError

	switch verdict := s.seen.Check(h.Source, h.Origin, h.Sequence); {
	case verdict == dedupe.Seen:
	case verdict == dedupe.Stale:
		err = s.failure(ReasonTimeout, errStale)
	case verdict == dedupe.Late && !h.Unordered:
		err = s.failure(ReasonTimeout, errLate)
	default:
		err = s.pushLocked(h, mine, after)
	}

	// A router may take more for this node than its very address.
	for _, dest := range mine.GetDestination() {
		key, _ := keyOf(dest)
		o := outcome{set: h.Pending, key: key}

		if err != nil {
			o.err = err.about(dest)
		}

		after.note(o)
	}
}

func (s *session) pushLocked(h link.Header, mine router.Packet, after *effects) *DeliveryError {
	if s.recvClosed {
		return s.failure(ReasonClosed, errCanceled)
	}

	err := s.queue.Push(mine)

	switch {
	case errors.Is(err, inbox.ErrClosed):
		return s.failure(ReasonClosed, errCanceled)
	case err != nil:
		return s.failure(ReasonOverflow, err)
	}

	s.seen.Mark(h.Source, h.Origin, h.Sequence)

	if s.witness.wantsDeliveries() {
		after.delivered = append(after.delivered, infoOf(mine))
	}

	return nil
}

// routeLocked puts the parts of a packet into the outboxes of the next hops.
func (s *session) routeLocked(h link.Header, packet router.Packet, after *effects) {
	via := s.tableForLocked(h)
	if via == nil {
		s.failLocked(h, packet, s.parentlessFailure(h), after)

		return
	}

	h.Via = via
	routes, voids := via.table.Forward(packet)
	s.forgottenLocked(h, packet, routes, voids, after)

	for dest, void := range voids {
		reason := ReasonNoRoute
		if errors.Is(void.Error, router.ErrUnreachable) {
			reason = ReasonUnreachable
		}

		s.failOneLocked(h, dest, s.voidFailure(h, reason, void.Error), after)
	}

	for gw, part := range routes {
		if part == nil {
			continue
		}

		if gw == nil {
			s.upLocked(h, part, after)
		} else {
			s.downLocked(via, h, gw, part, after)
		}
	}
}

// forgottenLocked settles the destinations that a faulty table passed over.
func (s *session) forgottenLocked(h link.Header, packet router.Packet, routes router.Routes, voids router.Voids,
	after *effects,
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
			s.failOneLocked(h, dest, s.failure(ReasonNoRoute, errForgot), after)
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
func (s *session) upLocked(h link.Header, part router.Packet, after *effects) {
	if h.Down {
		s.failLocked(h, part, s.failure(ReasonNoRoute, errUpwards), after)

		return
	}

	par := s.parents.pick(h.From, h.Failed)
	if par == nil {
		s.failLocked(h, part, s.parentlessFailure(h), after)

		return
	}

	if isOrchestrator(par.addr) {
		// The root knows everybody else: what is not for its orchestrator has no
		// route.
		mine := part.Slice(par.addr)
		s.failLocked(h, part, s.failure(ReasonNoRoute, errNotForIt), after)

		part = mine
	}

	if part != nil {
		s.handLocked(par.outlet(), h, part, after)
	}
}

// downLocked sends a part to a child, whose link is set up with its first packet.
func (s *session) downLocked(via *parent, h link.Header, gw mino.Address, part router.Packet, after *effects) {
	key, err := keyOf(gw)
	if err == nil && (key == h.From || key == s.meKey) {
		err = errBack
	}

	if err != nil {
		s.failLocked(h, part, s.failure(ReasonNoRoute, err), after)

		return
	}

	l := s.children.link(key)
	if l == nil {
		l = s.openLocked(via, gw, key, time.Until(h.Deadline))
	}

	s.handLocked(l, h, part, after)
}

// handLocked puts a part into an outbox.
func (s *session) handLocked(l *link.Link, h link.Header, part router.Packet, after *effects) {
	p := link.NewParcel(h, part)
	for i, dest := range p.Dests {
		p.Keys[i], _ = keyOf(dest)
	}

	err := l.Add(p)

	switch {
	case errors.Is(err, link.ErrClosed):
		after.fail(h.Pending, p.Keys, p.Dests, s.failureOf(err))
	case err != nil:
		after.fail(h.Pending, p.Keys, p.Dests, s.failure(ReasonOverflow, err))
	default:
		after.flush(l)
	}
}

// rerouteLocked routes the parcels that a lost neighbour leaves, in their order.
// With refused set there is no other route for them. Any parent may be tried again:
// which of them there are has changed.
func (s *session) rerouteLocked(parcels []*link.Parcel, cause error, refused bool, after *effects) {
	for _, p := range parcels {
		h := p.Header
		h.Failed = nil

		switch {
		case p.Sent && s.noRetry:
			after.fail(h.Pending, p.Keys, p.Dests, s.failure(ReasonTimeout, cause))
		case refused:
			after.fail(h.Pending, p.Keys, p.Dests, s.failure(ReasonUnreachable, cause))
		default:
			s.againLocked(h, p, cause, after)
		}
	}
}

// againLocked routes one parcel again. If the neighbour may have passed it on, this is
// another copy, and what becomes of it is not all that there is to know.
func (s *session) againLocked(h link.Header, p *link.Parcel, cause error, after *effects) {
	h.Lost = cause
	h.Attempts++

	switch {
	case s.closed, len(s.parents) == 0 && errors.Is(cause, io.EOF):
		after.fail(h.Pending, p.Keys, p.Dests, s.failure(ReasonClosed, errCanceled))
	case h.Attempts > maxAttempts:
		after.fail(h.Pending, p.Keys, p.Dests, s.failure(ReasonUnreachable, errAttempts))
	default:
		if h.MayHaveArrived() {
			h.Pending = pending.New(p.Keys, maybeDelivered{set: h.Pending, keys: p.Keys})
		}

		s.step(h.Pending, p.Keys, p.Dests, after, func() {
			packet := s.remainderLocked(h, p)
			if packet == nil {
				after.fail(h.Pending, p.Keys, p.Dests, s.failure(ReasonRejected, errNoPacket))
			} else {
				s.routeLocked(h, packet, after)
			}
		})
	}
}

// remainderLocked returns the packet of a parcel for the destinations that are left. What
// was refused must not come a second time: there may be room for it then, and its sender
// has been told. Who has been given the packet may still read it, so that it stays.
func (s *session) remainderLocked(h link.Header, p *link.Parcel) router.Packet {
	via := s.tableForLocked(h)
	if via == nil || len(p.Packet.GetDestination()) == len(p.Dests) {
		return p.Packet
	}

	return via.table.Make(p.Packet.GetSource(), p.Dests, p.Packet.GetMessage())
}

// voidFailure returns the outcome of a destination without a route. If a neighbour
// was lost with the packet, that is why.
func (s *session) voidFailure(h link.Header, reason Reason, err error) *DeliveryError {
	switch {
	case h.Lost != nil:
		return s.failure(ReasonUnreachable, h.Lost)
	case err == nil:
		return s.failure(reason, errForgot)
	default:
		return s.failure(reason, err)
	}
}

// parentlessFailure returns the outcome of a packet for which there is no parent,
// or none that takes it.
func (s *session) parentlessFailure(h link.Header) *DeliveryError {
	err := errDropped(len(h.Failed))
	if h.Lost == nil {
		return s.failure(ReasonNoRoute, err)
	}

	return s.failure(ReasonUnreachable, fmt.Errorf("%w: %w", err, h.Lost))
}

// failLocked notes the same outcome for all the destinations of a packet.
func (s *session) failLocked(h link.Header, packet router.Packet, err *DeliveryError, after *effects) {
	for _, dest := range packet.GetDestination() {
		s.failOneLocked(h, dest, err, after)
	}
}

func (s *session) failOneLocked(h link.Header, dest mino.Address, err *DeliveryError, after *effects) {
	key, _ := keyOf(dest)
	after.note(outcome{set: h.Pending, key: key, err: err.about(dest)})
}

// tableForLocked returns the parent whose table routes a packet: the one that it
// came from, or the preferred one.
func (s *session) tableForLocked(h link.Header) *parent {
	par := s.parents.byKey(h.From)
	if par != nil {
		return par
	}

	return s.preferredLocked()
}

// preferredLocked returns the newest parent that has not failed lately, the newest
// if all have, or nil.
func (s *session) preferredLocked() *parent {
	return s.parents.pick("", nil)
}
