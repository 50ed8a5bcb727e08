package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/internal/reuse"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/router"
	"github.com/minogrpc/session/serde"
)

var (
	errNoPacket = errors.New("the routing table made no packet")

	// errIgnored is the outcome of a Send before there is a parent, and so no table. Other
	// implementations use the same words.
	errIgnored = errors.New("packet ignored")
)

// errTooLarge is the cause of a message that is refused for its size.
func errTooLarge(size, limit int) error {
	return fmt.Errorf("message of %d bytes is larger than %d", size, limit)
}

// Send implements mino.Sender.
func (s *session) Send(msg serde.Message, addrs ...mino.Address) <-chan error {
	return s.SendContext(s.sendContext, msg, addrs...)
}

// SendContext implements mino.ContextSender. The context is for the tracer alone.
func (s *session) SendContext(ctx context.Context, msg serde.Message, addrs ...mino.Address) <-chan error {
	to := s.reporter.recipientsOf(addrs)
	errs := make(chan error, len(to.keys)+len(to.bad))

	for _, bad := range to.bad {
		s.witness.dropped(nil, bad)
		errs <- bad
	}

	if len(to.keys) == 0 {
		close(errs)

		return errs
	}

	data, err := serialize(msg, s.ctx, s.maxMessage)
	set := to.pending(s.newsroom.watch(reuse.Guard(outcomes(errs), msg, data), to.keys))
	e := effects{}

	s.witness.departs(ctx, set, to, len(data))

	if err != nil {
		e.fail(set, to.keys, to.addrs, s.reporter.failure(ReasonRejected, err))
	} else {
		s.send(set, to, data, &e)
	}

	s.reporter.carryOut(&e)

	return errs
}

// send takes the sequence number and routes the packet in one step.
func (s *session) send(set *pending.Set, to recipients, data []byte, e *effects) {
	maker, packet := s.makeEarly(to, data)

	s.mu.Lock()
	defer s.mu.Unlock()

	via := s.parents.preferred()

	switch {
	case s.closed:
		e.fail(set, to.keys, to.addrs, s.reporter.failure(ReasonClosed, s.endLocked()))

		return
	case via == nil:
		e.fail(set, to.keys, to.addrs, s.reporter.failure(ReasonNoRoute, errIgnored))

		return
	}

	h := s.numbering.departure()
	h.Pending, h.Room = set, to.room()

	if maker != via {
		packet = nil
		s.rememberMakerLocked(via)
	}

	if s.tracer != nil {
		h.Rare = rareOf(set)
	}

	s.reporter.step(set, to.keys, to.addrs, e, func() {
		if packet == nil {
			packet = via.table.Make(s.me, to.addrs, data)
		}

		if packet == nil {
			e.fail(set, to.keys, to.addrs, s.reporter.failure(ReasonRejected, errNoPacket))
		} else {
			s.dispatchLocked(h, packet, e)
		}
	})
}

// makeEarly makes the packet of a message before there is a lock, if the table allows that. It returns
// whose table that was: the packet is of no use if it is another one's turn.
func (s *session) makeEarly(to recipients, data []byte) (maker *parent, packet router.Packet) {
	maker = s.maker.Load()
	if maker == nil {
		return nil, nil
	}

	packet, err := contain.Call(func() (router.Packet, error) {
		return maker.maker.MakeAnytime(s.me, to.addrs, data), nil
	})
	if err != nil {
		s.witness.fault(err)

		return nil, nil
	}

	return maker, packet
}

// rememberMakerLocked makes the next packets by the table of that parent, if it allows that.
func (s *session) rememberMakerLocked(via *parent) {
	if via.maker == nil {
		via = nil
	}

	if s.maker.Load() != via {
		s.maker.Store(via)
	}
}

// forgetMakerLocked forgets a parent that is gone, whose table nobody pays for any more.
func (s *session) forgetMakerLocked(par *parent) {
	if s.maker.Load() == par {
		s.maker.Store(nil)
	}
}

// serialize returns the bytes of a message. It returns an error for more than limit bytes.
func serialize(msg serde.Message, ctx serde.Context, limit int) ([]byte, error) {
	if msg == nil {
		return nil, errors.New("failed to serialize msg: it is nil")
	}

	data, err := contain.Call(func() ([]byte, error) { return msg.Serialize(ctx) })
	if err != nil {
		return nil, fmt.Errorf("failed to serialize msg: %w", err)
	}

	if len(data) > limit {
		return nil, errTooLarge(len(data), limit)
	}

	return data, nil
}
