package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

const (
	// BinaryFormat names the form below.
	BinaryFormat = "tree1"

	// binaryVersion is the first byte of it, which tells it from a text.
	binaryVersion = 1
)

var (
	errCut       = errors.New("it is cut short")
	errCanonical = errors.New("a number is not in its shortest form")
)

// AppendHeader appends everything but the message to b. It returns b and an error when the
// packet cannot be sent.
//
// The form is the version, the text of the source, the number of destinations, and the
// text of each. A text has its length in bytes in front of it; the version is a byte, and
// the other numbers are unsigned varints in their shortest form. A packet has exactly one
// header.
func (p *Packet) AppendHeader(b []byte) ([]byte, error) {
	err := p.Sendable()
	if err != nil {
		return b, fmt.Errorf("failed to encode packet: %w", err)
	}

	b = appendText(append(b, binaryVersion), p.sourceText)
	b = binary.AppendUvarint(b, uint64(p.dest.Len()))

	for _, text := range p.dest.Texts {
		b = appendText(b, text)
	}

	return b, nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// ReadHeader returns the packet of a header and of a message. The packet keeps nothing
// of the header. It returns an error for a destination that is there twice, because no
// packet has such a header.
func (r *Reader) ReadHeader(header, msg []byte) (*Packet, error) {
	h := headerReader{Reader: r, rest: header}

	p, err := h.packet()
	if err != nil {
		return nil, err
	}

	p.message = msg

	return p, nil
}

// headerReader goes through a header.
type headerReader struct {
	*Reader

	rest []byte
}

// packet reads all of the header.
func (h *headerReader) packet() (*Packet, error) {
	if len(h.rest) == 0 || h.rest[0] != binaryVersion {
		return nil, fmt.Errorf("it is not of version %d", binaryVersion)
	}

	h.rest = h.rest[1:]

	source, err := h.player()
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}

	p := &Packet{source: source.Addr, sourceText: source.Text}

	err = h.destinations(p)
	if err != nil {
		return nil, fmt.Errorf("destination: %w", err)
	}

	if len(h.rest) > 0 {
		return nil, fmt.Errorf("%d bytes are left over", len(h.rest))
	}

	return p, nil
}

// destinations reads those of a packet.
func (h *headerReader) destinations(p *Packet) error {
	n, err := h.uvarint()
	if err != nil {
		return err
	}

	err = h.Admit(n)
	if err != nil {
		return err
	}

	// No text is empty, so that each takes two bytes at least. Without this check
	// the number would allocate more than was received.
	if n > uint64(len(h.rest)/2) {
		return errCut
	}

	if n == 1 {
		one, err := h.player()
		if err == nil {
			p.sendOne(one.Addr, one.Text)
		}

		return err
	}

	p.dest, err = h.players(n)

	return err
}

// players reads so many of them.
func (h *headerReader) players(n uint64) (Players, error) {
	unique := NewDistinct(int(n))

	for range n {
		p, err := h.player()
		if err != nil {
			return Players{}, err
		}

		if !unique.Add(p.Addr, p.Text) {
			return Players{}, fmt.Errorf("address %v is there twice", p.Addr)
		}
	}

	return unique.Players, nil
}

// player reads an address.
func (h *headerReader) player() (Player, error) {
	size, err := h.uvarint()
	if err != nil {
		return Player{}, err
	}

	if size > uint64(len(h.rest)) {
		return Player{}, errCut
	}

	text := h.rest[:size]
	h.rest = h.rest[size:]

	return h.Parse(text)
}

// uvarint reads a number.
func (h *headerReader) uvarint() (uint64, error) {
	x, n := binary.Uvarint(h.rest)
	if n <= 0 {
		return 0, errCut
	}

	if n != max(1, (bits.Len64(x)+6)/7) {
		return 0, errCanonical
	}

	h.rest = h.rest[n:]

	return x, nil
}
