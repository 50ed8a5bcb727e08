package json

import (
	"bytes"
	"encoding/base64"

	"github.com/minogrpc/session/router/internal/message"
)

// scanPacket reads a packet in the very form in which nodes write it, in one pass:
// encoding/json looks at each byte of a message four times. False means that the
// text is of another form, good or bad, which is for encoding/json to tell.
func scanPacket(r *message.Reader, data []byte) (*message.Packet, bool) {
	s := scanner{rest: data, ok: true}

	s.expect(`{"Source":"`)
	source := s.player(r)
	s.expect(`,"Dest":[`)
	dest := s.players(r)
	s.expect(`,"Message":"`)
	msg := s.base64(nil)
	s.expect(`}`)

	if !s.ok || len(s.rest) > 0 {
		return nil, false
	}

	return message.NewPacket(source, dest, msg), true
}

// scanner goes through a text until it meets what it does not expect. From then on
// its methods do nothing.
type scanner struct {
	rest []byte
	ok   bool
}

// next tells whether the text goes on like this, and steps over it if it does.
func (s *scanner) next(text string) bool {
	if !s.ok || len(s.rest) < len(text) || string(s.rest[:len(text)]) != text {
		return false
	}

	s.rest = s.rest[len(text):]

	return true
}

func (s *scanner) expect(text string) {
	s.ok = s.next(text)
}

// until returns what stands before the next such byte, and steps over both.
func (s *scanner) until(end byte) []byte {
	i := bytes.IndexByte(s.rest, end)
	if !s.ok || i < 0 {
		s.ok = false

		return nil
	}

	text := s.rest[:i]
	s.rest = s.rest[i+1:]

	return text
}

// base64 appends the bytes that the rest of a string stands for.
func (s *scanner) base64(b []byte) []byte {
	text := s.until('"')

	// The decoder would skip these, which JSON does not allow in a string.
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		s.ok = false
	}

	if !s.ok {
		return nil
	}

	b, err := base64.StdEncoding.AppendDecode(b, text)
	s.ok = err == nil

	return b
}

// player reads the rest of a string with an address.
func (s *scanner) player(r *message.Reader) message.Player {
	var room [64]byte

	text := s.base64(room[:0])
	if !s.ok {
		return message.Player{}
	}

	p, err := r.Parse(text)
	s.ok = err == nil

	return p
}

// players reads the rest of a list of addresses.
func (s *scanner) players(r *message.Reader) message.Players {
	list := scanner{ok: s.ok}

	// Neither bracket nor comma is a letter of base64.
	list.rest = s.until(']')
	if !s.ok || len(list.rest) == 0 {
		return message.Room(0)
	}

	n := bytes.Count(list.rest, []byte{','}) + 1
	if r.Admit(uint64(n)) != nil {
		s.ok = false

		return message.Players{}
	}

	unique := message.NewDistinct(n)

	for i := 0; list.ok && i < n; i++ {
		if i > 0 {
			list.expect(`,`)
		}

		list.expect(`"`)

		p := list.player(r)
		if list.ok {
			unique.Add(p.Addr, p.Text)
		}
	}

	s.ok = list.ok && len(list.rest) == 0

	return unique.Players
}
