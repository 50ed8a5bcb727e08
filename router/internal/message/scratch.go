package message

import (
	"encoding"
	"sync"

	"github.com/minogrpc/session/mino"
)

// Scratch is room for a text that is only looked up or compared. It is borrowed,
// because what is given to a method of an unknown type is never on the stack.
type Scratch struct {
	room [64]byte
}

var scratches sync.Pool

// Borrow returns a scratch, which the caller gives back with Return.
func Borrow() *Scratch {
	s, ok := scratches.Get().(*Scratch)
	if !ok {
		return new(Scratch)
	}

	return s
}

// Return gives the scratch back. Its texts are no longer good.
func (s *Scratch) Return() {
	scratches.Put(s)
}

// Text returns the text form of an address, which is good until the next one is
// asked for.
func (s *Scratch) Text(addr mino.Address) ([]byte, error) {
	appender, ok := addr.(encoding.TextAppender)
	if ok {
		return appender.AppendText(s.room[:0])
	}

	return addr.MarshalText()
}
