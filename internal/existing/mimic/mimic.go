// Package mimic lets a model of an existing node take the place of a node of this library in
// a test: it runs handlers of package mino and opens streams for them. It translates
// addresses, messages and errors, and nothing else.
//
// The words of an existing node become a [session.DeliveryError], so that a test reads the
// outcomes of all nodes in the same way. Such an error is weaker than one of this library: see
// [Sender.Send].
package mimic

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/existing"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/minogrpc/session/serde/json"
)

// errNoAddress is for a destination that an existing node has no text for.
var errNoAddress = errors.New("no address")

// Handler returns the handler of a model that runs one of mino.
func Handler(h mino.Handler, f serde.Factory) existing.Handler {
	return existing.Handler{
		Process: func(from existing.Address, question []byte) ([]byte, error) {
			msg, err := f.Deserialize(json.NewContext(), question)
			if err != nil {
				return nil, err
			}

			answer, err := h.Process(mino.Request{Address: addressOf(from), Message: msg})
			if err != nil {
				return nil, err
			}

			return answer.Serialize(json.NewContext())
		},
		Stream: func(s *existing.Session) error {
			return h.Stream(Sender{s}, Receiver{session: s, factory: f})
		},
	}
}

// Open opens a stream of a model, as RPC.Stream does for a node of this library.
func Open(ctx context.Context, n *existing.Node, uri string, players mino.Players, f serde.Factory,
) (mino.Sender, mino.Receiver, error) {
	var texts []existing.Address
	for it := players.AddressIterator(); it.HasNext(); {
		texts = append(texts, textOf(it.GetNext()))
	}

	s, err := n.Open(ctx, uri, texts...)
	if err != nil {
		return nil, nil, err
	}

	return Sender{s}, Receiver{session: s, factory: f}, nil
}

// Sender implements mino.Sender.
type Sender struct{ *existing.Session }

// Send implements mino.Sender. An existing node says what has failed in words, and has no
// deadline. The error is about the destination that the words name. Only of an unknown
// destination they say for certain that it has got nothing (no route); of others they say
// that a way has failed (unreachable), perhaps after the message was handed over. Words that
// name no destination are an error about each one (timeout): nobody knows.
//
// The channel must be read to its end.
func (s Sender) Send(msg serde.Message, addrs ...mino.Address) <-chan error {
	outcomes := make(chan error)

	var data []byte

	err := errors.New("no message")
	if msg != nil {
		data, err = msg.Serialize(json.NewContext())
	}

	to := make([]existing.Address, 0, len(addrs))
	failures := make([]error, 0, len(addrs))

	for i, addr := range addrs {
		text := textOf(addr)

		switch {
		case slices.Contains(to, text), isNowhere(addr) && slices.ContainsFunc(addrs[:i], isNowhere):
			// It has its outcome already.
		case err != nil:
			failures = append(failures, failure(addr, session.ReasonRejected, err))
		case isNowhere(addr):
			failures = append(failures, failure(addr, session.ReasonNoRoute, errNoAddress))
		default:
			to = append(to, text)
		}
	}

	go func() {
		defer close(outcomes)

		if len(to) > 0 {
			failures = append(failures, translate(s.Session.Send(data, to...), to)...)
		}

		for _, err := range failures {
			outcomes <- err
		}
	}()

	return outcomes
}

// isNowhere tells whether an address has no text that leads anywhere.
func isNowhere(addr mino.Address) bool { return textOf(addr).Host() == "" }

// translate returns at most one error for each destination.
func translate(words []string, to []existing.Address) []error {
	told := make(map[existing.Address]error)

	var vague error

	for _, text := range words {
		about := named(text, to)

		switch {
		case about == "", strings.Contains(text, " is closing: "):
			// A session that closes names itself, whomever the message was for.
			vague = errors.New(text)
		case strings.HasSuffix(text, existing.Unknown):
			told[about] = failure(addressOf(about), session.ReasonNoRoute, errors.New(text))
		default:
			told[about] = failure(addressOf(about), session.ReasonUnreachable, errors.New(text))
		}
	}

	var failures []error

	for _, dest := range to {
		if told[dest] == nil && vague != nil {
			told[dest] = failure(addressOf(dest), session.ReasonTimeout, vague)
		}

		if told[dest] != nil {
			failures = append(failures, told[dest])
			told[dest] = nil
		}
	}

	return failures
}

// named returns the destination that a text names first, or nothing.
func named(text string, to []existing.Address) existing.Address {
	found, at := existing.Address(""), len(text)

	for _, dest := range to {
		shown := dest.String()
		i := strings.Index(text, shown)

		// A port ends where its digits do.
		if i < 0 || i >= at || strings.ContainsAny(text[i+len(shown):min(i+len(shown)+1, len(text))], "0123456789") {
			continue
		}

		found, at = dest, i
	}

	return found
}

func failure(about mino.Address, reason session.Reason, cause error) error {
	return &session.DeliveryError{Destination: about, Reason: reason, Cause: cause}
}

// Receiver implements mino.Receiver.
type Receiver struct {
	session *existing.Session
	factory serde.Factory
}

// Recv implements mino.Receiver.
func (r Receiver) Recv(ctx context.Context) (mino.Address, serde.Message, error) {
	from, data, err := r.session.Recv(ctx)
	if err != nil {
		return nil, nil, err
	}

	msg, err := r.factory.Deserialize(json.NewContext(), data)

	return addressOf(from), msg, err
}

func addressOf(text existing.Address) mino.Address {
	return session.AddressFactory{}.FromText([]byte(text))
}

// textOf returns the text form of an address, empty where there is none.
func textOf(addr mino.Address) existing.Address {
	if addr == nil {
		return ""
	}

	data, err := addr.MarshalText()
	if err != nil {
		return ""
	}

	return existing.Address(data)
}
