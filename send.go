package session

import (
	"errors"
	"fmt"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/internal/reuse"
	"github.com/minogrpc/session/mino"
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
	to := s.reporter.recipientsOf(addrs)
	errs := make(chan error, len(to.keys)+len(to.bad))

	for _, bad := range to.bad {
		s.witness.dropped(bad)
		errs <- bad
	}

	if len(to.keys) == 0 {
		close(errs)

		return errs
	}

	data, err := serialize(msg, s.ctx, s.maxMessage)
	set := pending.New(to.keys, s.newsroom.watch(reuse.Guard(outcomes(errs), msg, data), to.keys))
	e := effects{}

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
	h.Pending = set

	s.reporter.step(set, to.keys, to.addrs, e, func() {
		packet := via.table.Make(s.me, to.addrs, data)
		if packet == nil {
			e.fail(set, to.keys, to.addrs, s.reporter.failure(ReasonRejected, errNoPacket))
		} else {
			s.dispatchLocked(h, packet, e)
		}
	})
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
