package session

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/internal/spelling"
	"github.com/minogrpc/session/mino"
)

// An address may be of a type that is not ours, so that each of its methods may panic.

// keyOf returns the text of an address, by which the session knows it. It returns an error for
// an address without a text, or without a host that could be reached.
func keyOf(addr mino.Address) (string, error) {
	if addr == nil {
		return "", errors.New("address is nil")
	}

	// A session asks for these texts all the time: the text of our own type must cost nothing.
	own, ok := unwrapAddress(addr).(Address)

	switch {
	case ok && own.host() == "":
		return "", errors.New("address is empty")
	case ok:
		return own.key(), nil
	}

	text, err := contain.Call(addr.MarshalText)
	if err != nil {
		return "", fmt.Errorf("address without a text: %w", err)
	}

	if len(text) == 0 {
		return "", errors.New("address is empty")
	}

	return string(text), nil
}

// mustKey is keyOf for an address that had a text before. It panics when the address has none any
// more. It is called in a step, which then ends the session and settles what is open: an outcome
// under another key would be nobody's.
func mustKey(addr mino.Address) string {
	key, err := keyOf(addr)
	if err != nil {
		panic(err)
	}

	return key
}

// sourceKey is the same text for all spellings of the address of a follower, and for another type
// its text. It is empty for an address without one.
func sourceKey(addr mino.Address) string {
	addr = unwrapAddress(addr)

	own, ok := addr.(Address)
	if ok {
		return string(own.key()[0]) + spelling.Key(own.host())
	}

	key, _ := keyOf(addr)

	return key
}

// isSameNode tells whether two addresses are spellings of one, in the same role.
func isSameNode(a, b mino.Address) bool {
	one, ok := a.(Address)
	if !ok {
		return false
	}

	other, ok := b.(Address)

	return ok && one.isOrchestrator() == other.isOrchestrator() && spelling.Same(one.host(), other.host())
}

// isOrchestrator tells whether the address is that of an orchestrator.
func isOrchestrator(addr mino.Address) bool {
	own, ok := addr.(Address)

	return ok && own.isOrchestrator()
}

// nameOf prints an address. An address whose String panics is printed as its type.
func nameOf(addr mino.Address) string {
	if own, ok := addr.(Address); ok {
		return own.String()
	}

	name, err := contain.Call(func() (string, error) { return addr.String(), nil })
	if err != nil {
		return fmt.Sprintf("%T", addr)
	}

	return name
}

// name is the text of one address for people to read. It is made when it is needed first, and then kept.
type name struct{ text atomic.Pointer[string] }

// of returns the text. The address is always the same.
func (n *name) of(addr mino.Address) string {
	text := n.text.Load()
	if text == nil {
		made := nameOf(addr)
		text = &made
		n.text.Store(text)
	}

	return *text
}

// printed is an address in a log line, which is printed only if the line is written.
type printed struct{ addr mino.Address }

// String implements fmt.Stringer.
func (p printed) String() string { return nameOf(p.addr) }
