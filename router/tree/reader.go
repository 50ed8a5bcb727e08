package tree

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"sync"

	"github.com/minogrpc/session/mino"
)

// reader checks the addresses that come from outside. It travels to the formats as
// the factory of a context. It may be used from several goroutines at once.
type reader struct {
	mino.AddressFactory

	// max is the largest number of addresses in one list.
	max int

	known cache
}

// readerKey is the key of the reader in a context.
type readerKey struct{}

// scratch is room for a text that is only looked up or compared. It is borrowed,
// because what is given to a method of an unknown type is never on the stack.
type scratch struct {
	room [64]byte
}

var scratches sync.Pool

// borrowScratch returns a scratch, which the caller puts back.
func borrowScratch() *scratch {
	s, ok := scratches.Get().(*scratch)
	if !ok {
		return new(scratch)
	}

	return s
}

// text returns the text form of an address, which is good until the next one is
// asked for.
func (s *scratch) text(addr mino.Address) ([]byte, error) {
	appender, ok := addr.(encoding.TextAppender)
	if ok {
		return appender.AppendText(s.room[:0])
	}

	return addr.MarshalText()
}

// parse returns the player that the text stands for, or an error when no node can
// be reached there. It does not keep the text.
func (r *reader) parse(text []byte) (player, error) {
	known, found := r.known.get(text)
	if found {
		return known, nil
	}

	// The copy is what lets callers have the text on their stack.
	addr, err := r.check(bytes.Clone(text))
	if err != nil {
		return player{}, err
	}

	p := player{addr: addr, text: string(text)}
	r.known.put(p)

	return p, nil
}

// check is parse for a text that is not known.
func (r *reader) check(text []byte) (mino.Address, error) {
	if len(text) == 0 {
		return nil, errors.New("address is empty")
	}

	addr := r.FromText(text)
	if addr == nil {
		return nil, fmt.Errorf("address %.100q cannot be parsed", text)
	}

	kind := addr.ConnectionType()
	if kind < mino.ACTgRPC || kind > mino.ACTws {
		return nil, fmt.Errorf("address %.100q has the unknown connection type %d", text, kind)
	}

	hoster, ok := addr.(interface{ GetHostname() (string, error) })
	if ok {
		host, err := hoster.GetHostname()
		if err != nil || host == "" {
			return nil, fmt.Errorf("address %.100q has no host", text)
		}
	}

	// Two texts of one address would make two players of it.
	again, err := addr.MarshalText()
	if err != nil || !bytes.Equal(again, text) {
		return nil, fmt.Errorf("address %.100q is not in its text form", text)
	}

	return addr, nil
}

// textOf returns the text form of an address, or an error when another node would
// refuse it.
func (r *reader) textOf(addr mino.Address, s *scratch) (string, error) {
	if addr == nil {
		return "", errors.New("address is nil")
	}

	text, err := s.text(addr)
	if err != nil {
		return "", fmt.Errorf("address %v: %w", addr, err)
	}

	p, err := r.parse(text)

	return p.text, err
}

// collect returns the addresses without the duplicates. One that cannot be sent
// stays in the list, without a text, so that somebody reports it.
func (r *reader) collect(addrs []mino.Address, s *scratch) players {
	list := newDistinct(len(addrs))

	for _, addr := range addrs {
		text, err := r.textOf(addr, s)
		if err != nil {
			list.players = list.with(addr, "")
		} else {
			list.add(addr, text)
		}
	}

	return list.players
}

// parseAll returns the players that the texts stand for without the duplicates,
// and the address of one of these if there are any.
func (r *reader) parseAll(texts []base64Text) (list players, twice mino.Address, err error) {
	if len(texts) > r.max {
		return players{}, nil, r.tooMany()
	}

	unique := newDistinct(len(texts))

	for _, text := range texts {
		p, err := r.parse(text)
		if err != nil {
			return players{}, nil, err
		}

		if !unique.add(p.addr, p.text) {
			twice = p.addr
		}
	}

	return unique.players, twice, nil
}

// tooMany is the error for a list beyond the limit.
func (r *reader) tooMany() error {
	return fmt.Errorf("more addresses than the limit of %d", r.max)
}
