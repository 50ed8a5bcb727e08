package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
)

// maxPatience is how many times the own outcome deadline a packet of others may ask for:
// of ten times [MaxTimeout] at most.
const maxPatience = 10

// originSize is the length of the identity of a session.
const originSize = 16

var errNoContext = errors.New("no context")

// RecvPacket implements Session.
func (s *session) RecvPacket(from mino.Address, p *ptypes.Packet) (*ptypes.Ack, error) {
	var errs []*DeliveryError

	key, err := keyOf(unwrapAddress(from))
	if err != nil {
		return nil, fmt.Errorf("packet malformed: gateway: %w", err)
	}

	err = s.admit(key, from)
	if err != nil {
		return nil, err
	}

	done := make(chan struct{})

	in := arrival{
		from:      key,
		addr:      from,
		identity:  p,
		unordered: true,
		body:      p.GetSerialized(),
	}

	err = s.accept(in, pending.Func(func(_, left int, err error) {
		errs = appendFailure(errs, err)

		if left == 0 {
			close(done)
		}
	}))
	if err != nil {
		return nil, err
	}

	// Every destination is in a link that reports it by its deadline.
	<-done

	if slices.ContainsFunc(errs, s.leavesOpen) {
		return nil, errCanceled
	}

	return writeAck(errs), nil
}

// leavesOpen tells whether this node has not passed on a packet because it is closing.
// Then it is the neighbour's to find another way: it must not take our word for what
// became of others.
func (s *session) leavesOpen(err *DeliveryError) bool {
	dest, _ := keyOf(err.Destination)

	return err.Hop == s.me && errors.Is(err, ErrClosed) && dest != s.meKey
}

// appendFailure adds an outcome if it is one to report.
func appendFailure(errs []*DeliveryError, err error) []*DeliveryError {
	failure, ok := errors.AsType[*DeliveryError](err)
	if ok {
		errs = append(errs, failure)
	}

	return errs
}

// fromStream takes what a neighbour sends over its stream. Nobody is told the outcomes.
// Nothing in it waits for anything: the reader must always be there for what comes next.
func (s *session) fromStream(l *link.Link, p *ptypes.Packet, down bool) {
	if len(p.GetSerialized()) == 0 {
		return
	}

	in := arrival{
		from:      l.Key,
		addr:      l.Peer,
		down:      down,
		identity:  p,
		unordered: true,
		body:      p.GetSerialized(),
	}

	err := s.accept(in, pending.Func(func(int, int, error) {}))
	if err != nil {
		_ = s.refuse(err) // There is nobody to be told.
	}
}

// arrived takes a packet that has come over a duplex link.
func (s *session) arrived(l *link.Link, a link.Arrival) {
	id := a.GetId()

	in := arrival{
		from:      l.Key,
		addr:      l.Peer,
		down:      l.Down,
		identity:  a.Parcel,
		unordered: a.GetUnordered(),
		header:    a.GetHeader(),
		body:      a.GetBody(),
		err:       a.Err,
	}

	err := s.accept(in, &replier{session: s, link: l, id: id})
	if err != nil {
		failure := writeFailure(s.refuse(err))
		l.Reply(&ptypes.Receipt{ParcelId: id, Failures: []*ptypes.Failure{failure}, Last: true})
	}
}

// replier implements pending.Waiter. It answers a parcel with receipts: for each
// destination at once, so that what has become of it is known if the link ends before
// that of the others. It outlives the packet, which may be large, and does not hold it.
// What this node leaves to the neighbour has no receipt: the end of the link says enough.
type replier struct {
	session *session
	link    *link.Link
	id      uint64

	// open is set when there is such a destination.
	open bool
}

// Settled implements pending.Waiter.
func (r *replier) Settled(i, left int, err error) {
	if err == nil && left == 0 && !r.open {
		r.link.Delivered(r.id)

		return
	}

	failure, failed := errors.AsType[*DeliveryError](err)
	open := failed && r.session.leavesOpen(failure)
	r.open = r.open || open
	receipt := &ptypes.Receipt{ParcelId: r.id, Last: left == 0 && !r.open}

	switch {
	case open:
		return
	case failed:
		receipt.Failures = []*ptypes.Failure{writeFailure(failure)}
	default:
		receipt.Reached = []uint32{uint32(i)}
	}

	r.link.Reply(receipt)
}

// refuse notes that a packet could not be taken, and returns what its sender is told.
func (s *session) refuse(err error) *DeliveryError {
	failure := s.failure(ReasonRejected, err)
	if errors.Is(err, ErrMemory) {
		failure.Reason = ReasonOverflow
	}

	s.dropped(failure)

	return failure
}

// arrival is a packet that has come from a neighbour.
type arrival struct {
	identity

	from string
	addr mino.Address
	// down is set when the neighbour is known to be a parent.
	down bool
	// unordered is set when the packet may have passed others of its sender.
	unordered bool

	// header and body are the packet as it travels, or err says why it is not there.
	header, body []byte
	err          error
}

// packetOf returns the packet that has come.
func (s *session) packetOf(in arrival) (router.Packet, error) {
	if in.err != nil {
		return nil, in.err
	}

	if len(in.header) == 0 {
		return s.pktFac.PacketOf(s.ctx, in.body)
	}

	binary, ok := s.pktFac.(router.BinaryPacketFactory)
	if !ok {
		return nil, errors.New("no binary format has been agreed on")
	}

	return binary.PacketOfHeader(in.header, in.body)
}

// identity is what a packet says about itself, however it travels.
type identity interface {
	GetOrigin() []byte
	GetSequence() uint64
	GetHopLimit() uint32
	GetBudgetMs() uint32
}

// accept delivers and forwards a packet. It does not wait; the outcomes are told as
// by a pending.Set, unless there is an error.
func (s *session) accept(in arrival, waiter pending.Waiter) error {
	packet, to, err := s.decodePacket(in)
	if err != nil {
		return fmt.Errorf("packet malformed: %w", err)
	}

	s.observeReceived(in.addr, packet)

	var after aftermath

	err = s.take(in, packet, to, pending.New(to.keys, waiter), &after)
	s.settleAll(&after)

	if err != nil {
		s.fault(err)
		s.refused(in.addr, err)
	}

	return err
}

// destinationsOf returns where a packet is to go.
func destinationsOf(packet router.Packet) (recipients, error) {
	dests := packet.GetDestination()
	if len(dests) == 0 {
		return recipients{}, errors.New("no destination")
	}

	if len(dests) == 1 {
		key, err := keyOf(dests[0])
		if err != nil {
			return recipients{}, fmt.Errorf("destination: %w", err)
		}

		to := oneRecipient(key, dests[0])
		to.size = len(packet.GetMessage())

		return to, nil
	}

	to := recipients{
		keys:  make([]string, len(dests)),
		addrs: slices.Clone(dests),
		size:  len(packet.GetMessage()),
	}

	for i, dest := range dests {
		key, err := keyOf(dest)
		if err != nil {
			return recipients{}, fmt.Errorf("destination: %w", err)
		}

		to.keys[i] = key
	}

	return to, nil
}

// take is the step under the lock for a packet that has come.
func (s *session) take(in arrival, packet router.Packet, to recipients, set *pending.Set, after *aftermath) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	switch {
	case s.closed:
		after.fail(set, to.keys, to.addrs, s.failure(ReasonClosed, errCanceled))

		return nil
	case len(s.parents) == 0:
		return errDropped(0)
	}

	in.from = s.senderLocked(in.from, packet)
	err := s.screenLocked(in, packet)

	switch {
	case err != nil:
		return err
	case to.size > s.maxMessage:
		after.fail(set, to.keys, to.addrs, s.failure(ReasonRejected, errTooLarge(to.size, s.maxMessage)))
	default:
		h := s.headerLocked(in)
		h.Pending = set
		s.step(set, to.keys, to.addrs, after, func() { s.dispatchLocked(h, packet, after) })
	}

	return nil
}

// senderLocked returns the key of the neighbour that a call comes from. An existing
// orchestrator calls in the name of the player on its node. Only the source tells the two
// apart: what the orchestrator itself has sent comes from above, and all else from the player.
func (s *session) senderLocked(from string, packet router.Packet) string {
	par := s.parents.byFollower(from)
	if par == nil {
		return from
	}

	source, err := contain.Call(func() (string, error) { return keyOf(packet.GetSource()) })
	if err != nil || source != par.key {
		return from
	}

	return source
}

// headerLocked reads what the packet says about itself. A packet without an
// identity is a new one and gets ours.
func (s *session) headerLocked(in arrival) link.Header {
	h := link.Header{
		From:     in.from,
		Down:     in.down || s.parents.byKey(in.from) != nil,
		Origin:   in.GetOrigin(),
		Sequence: in.GetSequence(),
		HopLimit: min(in.GetHopLimit(), s.hopLimit),

		Unordered: in.unordered,
	}
	budget := time.Duration(in.GetBudgetMs()) * time.Millisecond

	if len(h.Origin) != originSize {
		s.sequence++
		h.Origin, h.Sequence, h.HopLimit = s.origin[:], s.sequence, s.hopLimit
		budget = 0
	}

	if budget <= 0 {
		budget = s.outcome
	}

	// What a neighbour asks for costs this node memory for as long.
	h.Deadline = time.Now().Add(min(budget, maxPatience*s.outcome))

	return h
}

// decodePacket returns the packet of the router, and where it is to go.
func (s *session) decodePacket(in arrival) (packet router.Packet, to recipients, err error) {
	defer func() { s.fault(err) }()
	defer contain.Recover(&err)

	packet, err = s.packetOf(in)

	switch {
	case err != nil:
	case packet == nil:
		err = errors.New("no packet")
	default:
		to, err = destinationsOf(packet)
	}

	return packet, to, err
}

// Recv implements mino.Receiver. Without a context it returns an error.
func (s *session) Recv(ctx context.Context) (mino.Address, serde.Message, error) {
	if ctx == nil {
		return nil, nil, errNoContext
	}

	packet, err := s.queue.Pop(ctx)
	if err != nil {
		return nil, nil, err
	}

	s.observeDepth()

	var from mino.Address

	msg, err := contain.Call(func() (serde.Message, error) {
		from = wrapAddress(packet.GetSource())

		return s.msgFac.Deserialize(s.ctx, packet.GetMessage())
	})
	if err != nil {
		s.fault(err)

		failure := &MessageError{From: from, Cause: err}
		s.rejected(failure)

		return from, nil, failure
	}

	return from, msg, nil
}
