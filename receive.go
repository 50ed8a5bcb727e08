package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var errNoContext = errors.New("no context")

// RecvPacket implements Session. It is the door for packets that come in a call.
func (s *session) RecvPacket(from mino.Address, p *ptypes.Packet) (*ptypes.Ack, error) {
	key, err := keyOf(unwrapAddress(from))
	if err != nil {
		return nil, notTaken(fmt.Errorf("packet malformed: gateway: %w", err))
	}

	err = s.admit(key, from)
	if err != nil {
		return nil, notTaken(err)
	}

	share := shareOf(from)
	defer s.shares().Leave(share)

	in := arrival{
		account:   s.shares().Join(share),
		from:      key,
		addr:      from,
		identity:  p,
		unordered: true,
		body:      p.GetSerialized(),
	}

	c := call{done: make(chan struct{})}

	err = s.receive(in, &c)
	if err != nil {
		return nil, notTaken(err)
	}

	// The deadline of the packet bounds the wait.
	<-c.done

	switch {
	case !slices.ContainsFunc(c.errs, s.reporter.leavesOpen):
		return answer{errs: c.errs, all: len(c.errs) == c.all, typed: len(p.GetOrigin()) > 0}.ack(), nil
	case len(c.errs) == c.all && !slices.ContainsFunc(c.errs, isInDoubt):
		return nil, notTaken(errCanceled)
	default:
		return nil, callError{errCanceled}
	}
}

// call implements pending.Waiter for a packet that has come in a call.
type call struct {
	// errs are the failures, all counts the destinations, and done is closed when each has
	// its outcome.
	errs []*DeliveryError
	all  int
	done chan struct{}
}

// Settled implements pending.Waiter.
func (c *call) Settled(_, left int, err error) {
	c.errs = appendFailure(c.errs, err)
	c.all++

	if left == 0 {
		close(c.done)
	}
}

// isInDoubt tells whether a message may arrive all the same.
func isInDoubt(err *DeliveryError) bool {
	return err.Reason == ReasonTimeout
}

// callError is an error of RecvPacket, with the text of another one. Its status is the answer to the
// call.
type callError struct {
	error
}

// Unwrap returns the error that has the text.
func (e callError) Unwrap() error { return e.error }

// GRPCStatus returns the status for the neighbour, as [Session] RecvPacket says it. A neighbour that
// is refused or meets the end of the session looks for another way. A lie that it may only have passed
// on costs the packet alone.
func (e callError) GRPCStatus() *status.Status {
	code := codes.InvalidArgument

	switch {
	case errors.Is(e.error, ErrStranger) && !errors.Is(e.error, ErrSource):
		code = codes.PermissionDenied
	case errors.Is(e.error, ErrClosed):
		code = codes.Unavailable
	}

	return status.New(code, e.Error())
}

// notTaken returns the error for a packet that has not been taken.
func notTaken(err error) error {
	return notTakenError{callError{err}}
}

// notTakenError is a callError that wraps ErrNotTaken.
type notTakenError struct {
	callError
}

// Unwrap returns what the error wraps.
func (e notTakenError) Unwrap() []error { return []error{e.callError, ErrNotTaken} }

// fromStream is the door for packets that come over the stream of a neighbour that uses calls.
// Nobody learns the outcomes. It never waits: the reader must be free for the next packet.
func (s *session) fromStream(l *link.Link, p *ptypes.Packet, down bool) {
	if len(p.GetSerialized()) == 0 {
		return
	}

	in := arrival{
		account:   l.Budget,
		from:      l.Key,
		addr:      l.Peer,
		down:      down,
		identity:  p,
		unordered: true,
		body:      p.GetSerialized(),
	}

	err := s.receive(in, pending.Func(func(int, int, error) {}))
	if err != nil {
		_ = s.reporter.refusal(err) // The neighbour does not wait for an answer.
	}
}

// receive delivers and forwards a packet. It does not wait: the waiter learns the outcome of
// each destination, unless receive returns an error.
func (s *session) receive(in arrival, waiter pending.Waiter) error {
	packet, to, err := s.framing.decode(in)
	if err != nil {
		s.witness.fault(err)

		return fmt.Errorf("packet malformed: %w", err)
	}

	s.witness.received(in.addr, packet)

	var e effects

	set := to.pending(waiter)
	in.trace = s.witness.arrives(in.addr, in.GetTrace(), packet, set, to)

	err = s.dispatchArrival(in, packet, to, set, &e)
	s.reporter.carryOut(&e)

	if err != nil {
		s.refused(in, set, err)
	}

	return err
}

// refused tells why nothing of a packet was taken. The set is nil for one without an account of its
// destinations.
func (s *session) refused(in arrival, set *pending.Set, err error) {
	s.witness.fault(err)
	s.witness.packetRefused(in.addr, err)
	s.witness.newsRefused(in.addr, err)

	if set != nil {
		s.witness.traceRefused(set, err)
	}
}

// dispatchArrival is dispatchArrivalLocked for one packet.
func (s *session) dispatchArrival(in arrival, packet router.Packet, to recipients, set *pending.Set,
	e *effects,
) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.dispatchArrivalLocked(in, packet, to, set, e)
}

// dispatchArrivalLocked is the step under the lock for a packet that has come.
func (s *session) dispatchArrivalLocked(in arrival, packet router.Packet, to recipients, set *pending.Set,
	e *effects,
) error {
	failure, err := s.admitLocked(&in, packet, to)

	if err == nil {
		e.hear(in)
	}

	switch {
	case err != nil:
		return err
	case failure != nil:
		e.fail(set, to.keys, to.addrs, failure)
	default:
		h := s.numbering.arrival(in, s.parents.byKey(in.from) != nil)
		h.Pending, h.Room = set, to.room()
		s.reporter.step(set, to.keys, to.addrs, e, func() { s.dispatchLocked(h, packet, e) })
	}

	return nil
}

// admitLocked returns why a packet that has come fails for all its destinations, or an error if nobody
// answers for it. It finds out which neighbour the packet is from, and which news it brings.
func (s *session) admitLocked(in *arrival, packet router.Packet, to recipients) (*DeliveryError, error) {
	switch {
	case s.closed:
		return s.reporter.failure(ReasonClosed, s.endLocked()), nil
	case len(s.parents) == 0:
		return nil, errDropped(0)
	}

	in.from = s.parents.sender(in.from, packet)
	err := s.screen.check(*in, packet, s.parents)

	if err == nil && in.GetNews() != nil {
		in.news, err = s.checkNewsLocked(*in, packet, to)
	}

	switch {
	case err != nil:
		return nil, err
	case to.size > s.maxMessage:
		return s.reporter.failure(ReasonRejected, errTooLarge(to.size, s.maxMessage)), nil
	default:
		return nil, nil
	}
}

// Recv implements mino.Receiver. Without a context it returns an error.
func (s *session) Recv(ctx context.Context) (mino.Address, serde.Message, error) {
	if ctx == nil {
		return nil, nil, errNoContext
	}

	packet, err := s.mailbox.queue.Pop(ctx)
	if err != nil {
		return nil, nil, err
	}

	return s.open(packet)
}

// open returns the message of a packet that has been taken out of the queue, and its sender.
func (s *session) open(packet router.Packet) (mino.Address, serde.Message, error) {
	s.witness.depth()

	var from mino.Address

	msg, err := contain.Call(func() (serde.Message, error) {
		from = wrapAddress(packet.GetSource())

		return s.msgFac.Deserialize(s.ctx, packet.GetMessage())
	})
	if err != nil {
		s.witness.fault(err)

		failure := &MessageError{From: from, Cause: err}
		s.witness.messageRejected(failure)

		return from, nil, failure
	}

	return from, msg, nil
}
