package message

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/minogrpc/session/mino"
)

const (
	// MaxAddresses is the largest number of addresses in one list, unless the router has
	// another.
	MaxAddresses = 1_000_000

	// MaxHeight is the largest height of a tree.
	MaxHeight = 64
)

// Reader checks the addresses that come from outside. It travels to the formats as
// the address factory of a context. It may be used from several goroutines at once.
type Reader struct {
	mino.AddressFactory

	// max is the largest number of addresses in one list.
	max int

	known *cache
}

// NewReader returns a reader for the addresses of a factory.
func NewReader(f mino.AddressFactory, maxAddresses int) *Reader {
	return &Reader{AddressFactory: f, max: maxAddresses, known: new(cache)}
}

// AtMost returns a reader that takes no lists of more than n addresses, and shares with this one
// what it knows.
func (r *Reader) AtMost(n int) *Reader {
	return &Reader{AddressFactory: r.AddressFactory, max: min(r.max, n), known: r.known}
}

// ReaderOf returns the reader that the factory is, or a new one for any other factory.
func ReaderOf(f mino.AddressFactory) *Reader {
	r, ok := f.(*Reader)
	if !ok {
		return NewReader(f, MaxAddresses)
	}

	return r
}

// Parse returns the player that the text stands for, or an error when no node can
// be reached there. It does not keep the text.
func (r *Reader) Parse(text []byte) (Player, error) {
	known, found := r.known.get(text)
	if found {
		return known, nil
	}

	// The copy is what lets callers have the text on their stack.
	addr, err := r.check(bytes.Clone(text))
	if err != nil {
		return Player{}, err
	}

	p := Player{Addr: addr, Text: string(text)}
	r.known.put(p)

	return p, nil
}

// check is Parse for a text that is not known.
func (r *Reader) check(text []byte) (mino.Address, error) {
	if len(text) == 0 {
		return nil, errors.New("address is empty")
	}

	addr := r.FromText(text)
	if addr == nil {
		return nil, fmt.Errorf("address %.100q cannot be parsed", text)
	}

	err := reachable(addr)
	if err != nil {
		return nil, fmt.Errorf("address %.100q has %w", text, err)
	}

	// Two texts of one address would make two players of it.
	again, err := addr.MarshalText()
	if err != nil || !bytes.Equal(again, text) {
		return nil, fmt.Errorf("address %.100q is not in its text form", text)
	}

	return addr, nil
}

// reachable returns what an address has that no node is reached with.
func reachable(addr mino.Address) error {
	kind := addr.ConnectionType()
	if kind < mino.ACTgRPC || kind > mino.ACTws {
		return fmt.Errorf("the unknown connection type %d", kind)
	}

	hoster, ok := addr.(interface{ GetHostname() (string, error) })
	if ok {
		host, err := hoster.GetHostname()
		if err != nil || host == "" {
			return errors.New("no host")
		}
	}

	return nil
}

// TextOf returns the text form of an address, or an error when another node would
// refuse it.
func (r *Reader) TextOf(addr mino.Address, s *Scratch) (string, error) {
	if addr == nil {
		return "", errors.New("address is nil")
	}

	text, err := s.Text(addr)
	if err != nil {
		return "", fmt.Errorf("address %v: %w", addr, err)
	}

	p, err := r.Parse(text)

	return p.Text, err
}

// TextOf is what [Reader.TextOf] returns where there is no reader: the text of an
// address that can be sent as far as its own methods tell, and an empty one of another.
func TextOf(addr mino.Address, s *Scratch) string {
	if addr == nil || reachable(addr) != nil {
		return ""
	}

	text, err := s.Text(addr)
	if err != nil {
		return ""
	}

	return string(text)
}

// ParseAll returns the players that the texts stand for without the duplicates,
// and the address of one of these if there are any.
func ParseAll[T ~[]byte](r *Reader, texts []T) (list Players, twice mino.Address, err error) {
	err = r.Admit(uint64(len(texts)))
	if err != nil {
		return Players{}, nil, err
	}

	unique := NewDistinct(len(texts))

	for _, text := range texts {
		p, err := r.Parse(text)
		if err != nil {
			return Players{}, nil, err
		}

		if !unique.Add(p.Addr, p.Text) {
			twice = p.Addr
		}
	}

	return unique.Players, twice, nil
}

// Collect returns the players of a list without the duplicates and without the one whose text is me.
// It returns an error when there are too many, or when one cannot be sent.
func (r *Reader) Collect(list mino.Players, me string, s *Scratch) (Players, error) {
	err := r.Admit(uint64(list.Len()))
	if err != nil {
		return Players{}, err
	}

	known := NewDistinct(list.Len())

	for it := list.AddressIterator(); it.HasNext(); {
		addr := it.GetNext()

		text, err := r.TextOf(addr, s)
		if err != nil {
			return Players{}, fmt.Errorf("player: %w", err)
		}

		if text != me {
			known.Add(addr, text)
		}
	}

	return known.Players, nil
}

// Hashable tells whether the address can be the key of a map. A nil address can.
func Hashable(addr mino.Address) bool {
	return addr == nil || reflect.ValueOf(addr).Comparable()
}

// Admit returns an error for a list of so many addresses that it is beyond the limit.
func (r *Reader) Admit(addresses uint64) error {
	if addresses > uint64(r.max) {
		return fmt.Errorf("more addresses than the limit of %d", r.max)
	}

	return nil
}
