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

	// one is the memory of a list of one destination, which most packets have.
	one struct {
		addr [1]mino.Address
		text [1]string
	}
}

// NewPacket returns a packet between players that have been checked. The list is used up.
func NewPacket(source Player, dest Players, message []byte) *Packet {
	p := &Packet{source: source.Addr, sourceText: source.Text, message: message}
	p.send(dest)

	return p
}

// send sets the destinations. A list of one is copied, and so takes no memory of its own.
func (p *Packet) send(dest Players) {
	if dest.Len() == 1 {
		p.sendOne(dest.Addrs[0], dest.Texts[0])
	} else {
		p.dest = dest
	}
}

// sendOne sets the only destination.
func (p *Packet) sendOne(addr mino.Address, text string) {
	p.one.addr[0], p.one.text[0] = addr, text
	p.dest = Players{Addrs: p.one.addr[:], Texts: p.one.text[:]}
}

// MakePacket returns a packet between any addresses, without the duplicates. One that
// cannot be sent has no text. Without a reader, which may be nil, their own methods say
// whether they can be sent.
func MakePacket(r *Reader, source mino.Address, to []mino.Address, message []byte) *Packet {
	s := Borrow()
	defer s.Return()

	p := &Packet{source: source, sourceText: textOf(r, source, s), message: message}

	if len(to) == 1 {
		p.sendOne(to[0], textOf(r, to[0], s))

		return p
	}

	dest := NewDistinct(len(to))
	for _, addr := range to {
		dest.AddAny(addr, textOf(r, addr, s))
	}

	p.dest = dest.Players

	return p
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
	return NewPacket(p.Source(), dest, p.message)
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

	// A packet copies a list of one, so that what is queued here does not hold the list of the others.
	return p.To(all.Slice(i, i+1))
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
