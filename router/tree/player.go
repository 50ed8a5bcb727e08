package tree

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/minogrpc/session/mino"
)

// players is a list of addresses with their text forms, index by index. Lookups
// and comparisons go by the text, because an address may be of any type: one that
// cannot be hashed, or one that is equal to several others. A packet may hold an
// address that cannot be sent: its text is nil.
type players struct {
	addrs []mino.Address
	texts [][]byte
}

func (p players) len() int { return len(p.addrs) }

// slice returns the players from <= i < to. It shares their memory, but its with
// does not write there.
func (p players) slice(from, to int) players {
	return players{addrs: p.addrs[from:to:to], texts: p.texts[from:to:to]}
}

// with returns the list with one more, as append does: the list itself is used up.
func (p players) with(addr mino.Address, text []byte) players {
	return players{addrs: append(p.addrs, addr), texts: append(p.texts, text)}
}

// textSet tells which texts have been seen.
type textSet map[string]struct{}

// add returns true for a text that was not there yet.
func (s textSet) add(text []byte) bool {
	_, found := s[string(text)]
	if !found {
		s[string(text)] = struct{}{}
	}

	return !found
}

// reader checks the addresses that come from outside. It travels to the formats as
// the factory of a context.
type reader struct {
	mino.AddressFactory

	// max is the largest number of addresses in one list.
	max int
}

// readerKey is the key of the reader in a context.
type readerKey struct{}

// parse returns the address that the text stands for, or an error when no node
// can be reached at it.
func (r reader) parse(text []byte) (mino.Address, error) {
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
func (r reader) textOf(addr mino.Address) ([]byte, error) {
	if addr == nil {
		return nil, errors.New("address is nil")
	}

	text, err := addr.MarshalText()
	if err != nil {
		return nil, fmt.Errorf("address %v: %w", addr, err)
	}

	_, err = r.parse(text)
	if err != nil {
		return nil, err
	}

	return text, nil
}

// collect returns the addresses without the duplicates. One that cannot be sent
// stays in the list, without a text, so that somebody reports it.
func (r reader) collect(addrs []mino.Address) players {
	seen := make(textSet, len(addrs))
	list := players{
		addrs: make([]mino.Address, 0, len(addrs)),
		texts: make([][]byte, 0, len(addrs)),
	}

	for _, addr := range addrs {
		text, err := r.textOf(addr)
		if err != nil || seen.add(text) {
			list = list.with(addr, text)
		}
	}

	return list
}

// parseAll returns the addresses that the texts stand for without the duplicates,
// and one of these if there are any.
func (r reader) parseAll(texts []base64Text) (list players, twice mino.Address, err error) {
	if len(texts) > r.max {
		return players{}, nil, r.tooMany()
	}

	seen := make(textSet, len(texts))
	list = players{
		addrs: make([]mino.Address, 0, len(texts)),
		texts: make([][]byte, 0, len(texts)),
	}

	for _, text := range texts {
		addr, err := r.parse(text)
		if err != nil {
			return players{}, nil, err
		}

		if seen.add(text) {
			list = list.with(addr, text)
		} else {
			twice = addr
		}
	}

	return list, twice, nil
}

// tooMany is the error for a list beyond the limit.
func (r reader) tooMany() error {
	return fmt.Errorf("more addresses than the limit of %d", r.max)
}

// hashable tells whether the address can be the key of a map. A nil address can.
func hashable(addr mino.Address) bool {
	return addr == nil || reflect.ValueOf(addr).Comparable()
}
