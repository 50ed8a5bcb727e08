package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/link"
	"github.com/minogrpc/session/internal/pending"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
)

var (
	errNoPacket = errors.New("the routing table made no packet")

	// errIgnored is the outcome of a Send before there is a parent, and so no table. The
	// wording is that of other implementations.
	errIgnored = errors.New("packet ignored")
)

// Send implements mino.Sender.
func (s *session) Send(msg serde.Message, addrs ...mino.Address) <-chan error {
	to := s.recipients(addrs)
	errs := make(chan error, len(to.keys)+len(to.bad))

	for _, bad := range to.bad {
		s.witness.dropped(bad)
		errs <- bad
	}

	if len(to.keys) == 0 {
		close(errs)

		return errs
	}

	set := pending.New(to.keys, outcomes(errs))

	data, err := s.serialize(msg)
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
		e.fail(set, to.keys, to.addrs, s.reporter.failure(ReasonClosed, errCanceled))

		return
	case via == nil:
		e.fail(set, to.keys, to.addrs, s.reporter.failure(ReasonNoRoute, errIgnored))

		return
	}

	s.sequence++
	h := link.Header{
		Pending:  set,
		Origin:   s.origin[:],
		Sequence: s.sequence,
		HopLimit: s.hopLimit,
		Deadline: time.Now().Add(s.outcome),
	}

	s.reporter.step(set, to.keys, to.addrs, e, func() {
		packet := via.table.Make(s.me, to.addrs, data)
		if packet == nil {
			e.fail(set, to.keys, to.addrs, s.reporter.failure(ReasonRejected, errNoPacket))
		} else {
			s.dispatchLocked(h, packet, e)
		}
	})
}

// serialize returns the bytes of a message.
func (s *session) serialize(msg serde.Message) ([]byte, error) {
	if msg == nil {
		return nil, errors.New("failed to serialize msg: it is nil")
	}

	data, err := contain.Call(func() ([]byte, error) { return msg.Serialize(s.ctx) })
	if err != nil {
		return nil, fmt.Errorf("failed to serialize msg: %w", err)
	}

	if len(data) > s.maxMessage {
		return nil, errTooLarge(len(data), s.maxMessage)
	}

	return data, nil
}

// errTooLarge is the cause of a message that is refused for its size.
func errTooLarge(size, limit int) error {
	return fmt.Errorf("message of %d bytes is larger than %d", size, limit)
}

// recipients are the destinations of one Send, each once, in the order they were
// named. It shares nothing with the caller's slice, and does not change.
type recipients struct {
	keys  []string
	addrs []mino.Address
	// bad are the outcomes of what is no address.
	bad []*DeliveryError
	// size is that of the message of a packet that has come, in bytes.
	size int
}

// oneRecipient returns a single destination, which most packets have.
func oneRecipient(key string, addr mino.Address) recipients {
	one := &struct {
		keys  [1]string
		addrs [1]mino.Address
	}{keys: [1]string{key}, addrs: [1]mino.Address{addr}}

	return recipients{keys: one.keys[:], addrs: one.addrs[:]}
}

// recipients sorts what the caller asked for.
func (s *session) recipients(addrs []mino.Address) recipients {
	if len(addrs) == 1 {
		addr := unwrapAddress(addrs[0])

		key, err := keyOf(addr)
		if err == nil {
			return oneRecipient(key, addr)
		}
	}

	var to recipients

	seen := make(map[string]struct{}, len(addrs))

	for _, addr := range addrs {
		addr = unwrapAddress(addr)

		key, err := keyOf(addr)
		if err != nil {
			// Two addresses that are bad in the same way are one destination.
			key = fmt.Sprintf("%T %v", addr, err)
		}

		_, twice := seen[key]
		if twice {
			continue
		}

		seen[key] = struct{}{}

		if err != nil {
			if errors.Is(err, contain.ErrPanic) {
				addr = nil // Such as a nil pointer, which nobody could print.
			}

			to.bad = append(to.bad, s.reporter.failure(ReasonNoRoute, err).about(addr))
		} else {
			to.keys = append(to.keys, key)
			to.addrs = append(to.addrs, addr)
		}
	}

	if len(addrs) == 0 {
		to.bad = append(to.bad, s.reporter.failure(ReasonNoRoute, errors.New("no destination")))
	}

	return to
}
