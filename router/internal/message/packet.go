// Package message is what the packets and the handshakes of the routers here are inside:
// lists of addresses that have been checked, with the texts that tables look them up by.
//
// The package tree/types gives both their public face, and tree/json reads and writes them. The
// packages tree and kit route them.
package message

import (
	"fmt"
	"slices"

	"github.com/minogrpc/session/mino"
)

// Packet is a message with its source and its destinations. The message and the arrays
// behind the destinations are shared with other packets and never written to.
type Packet struct {
	source mino.Address

	// sourceText is empty when the source cannot be sent.
	sourceText string

	// dest holds each address once.
	dest    Players
	message []byte
}

// NewPacket returns a packet between players that have been checked. The list is used up.
func NewPacket(source Player, dest Players, message []byte) *Packet {
	return &Packet{source: source.Addr, sourceText: source.Text, dest: dest, message: message}
}

// MakePacket returns a packet between any addresses, without the duplicates. One that
// cannot be sent has no text. Without a reader, which may be nil, their own methods say
// whether they can be sent.
func MakePacket(r *Reader, source mino.Address, to []mino.Address, message []byte) *Packet {
	s := Borrow()
	defer s.Return()

	dest := NewDistinct(len(to))
	for _, addr := range to {
		dest.AddAny(addr, textOf(r, addr, s))
	}

	return &Packet{source: source, sourceText: textOf(r, source, s), dest: dest.Players, message: message}
}

// textOf returns the text of an address, which is empty when it cannot be sent.
func textOf(r *Reader, addr mino.Address, s *Scratch) string {
	if r == nil {
		return TextOf(addr, s)
	}

	text, err := r.TextOf(addr, s)
	if err != nil {
		return ""
	}

	return text
}

// Source returns the sender.
func (p *Packet) Source() Player { return Player{Addr: p.source, Text: p.sourceText} }

// Players returns the destinations, which the caller must not change.
func (p *Packet) Players() Players { return p.dest }

// Message returns the bytes of the message, which nobody may change.
func (p *Packet) Message() []byte { return p.message }

// Add appends a destination that is not there yet. It takes a time linear in their
// number.
func (p *Packet) Add(to mino.Address) {
	s := Borrow()
	defer s.Return()

	text := TextOf(to, s)
	if text == "" || !slices.Contains(p.dest.Texts, text) {
		p.dest = p.dest.With(to, text)
	}
}

// AddAll appends the destinations of a list, none of which is there.
func (p *Packet) AddAll(list Players) {
	p.dest = p.dest.WithAll(list)
}

// To returns the same packet for other destinations. The list is used up.
func (p *Packet) To(dest Players) *Packet {
	return &Packet{source: p.source, sourceText: p.sourceText, dest: dest, message: p.message}
}

// ToAll returns the same packet once more. What is added to one of them is not in the
// other.
func (p *Packet) ToAll() *Packet {
	return p.To(p.dest.Slice(0, p.dest.Len()))
}

// Slice takes an address out of the destinations, and returns a packet for it alone, or
// nil when it is not among them. The lists that were read before stay as they were.
func (p *Packet) Slice(addr mino.Address) *Packet {
	i := p.index(addr)
	if i < 0 {
		return nil
	}

	all, n := p.dest, p.dest.Len()
	if n == 1 {
		p.dest = Players{}

		return p.To(all)
	}

	p.dest = Room(n - 1).WithAll(all.Slice(0, i)).WithAll(all.Slice(i+1, n))

	// A copy, so that what is queued here does not hold the list of the others.
	return p.To(Room(1).With(all.Addrs[i], all.Texts[i]))
}

// index returns the place of the address among the destinations, -1 for none.
func (p *Packet) index(addr mino.Address) int {
	if addr == nil || p.dest.Len() == 0 {
		return -1
	}

	s := Borrow()
	defer s.Return()

	text, err := s.Text(addr)
	if err != nil || len(text) == 0 {
		return -1
	}

	return slices.IndexFunc(p.dest.Texts, func(t string) bool { return t == string(text) })
}

// Sendable returns an error when another node would refuse the source or one of the
// destinations.
func (p *Packet) Sendable() error {
	if p.sourceText == "" {
		return fmt.Errorf("source %v cannot be sent", p.source)
	}

	return p.dest.Sendable()
}
