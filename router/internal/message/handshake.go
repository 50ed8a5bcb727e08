package message

import (
	"fmt"

	"github.com/minogrpc/session/mino"
)

// Handshake is what a node tells a child about its part of the tree. It is never written
// to after it was made.
type Handshake struct {
	height  int
	players Players
}

// NewHandshake returns a handshake for players that have been checked, each of which is
// there once.
func NewHandshake(height int, players Players) Handshake {
	return Handshake{height: height, players: players}
}

// MakeHandshake returns a handshake for any addresses, without the duplicates.
func MakeHandshake(height int, expected []mino.Address) Handshake {
	s := Borrow()
	defer s.Return()

	players := NewDistinct(len(expected))
	for _, addr := range expected {
		players.AddAny(addr, TextOf(addr, s))
	}

	return Handshake{height: height, players: players.Players}
}

// Height returns the height of the callee's own tree. Zero or less is a leaf; where there
// are players nonetheless it counts as one, because nodes of other implementations send
// that.
func (h Handshake) Height() int { return h.height }

// Players returns those that the callee must be able to route to. The caller must not
// change them.
func (h Handshake) Players() Players { return h.players }

// Sendable returns an error when another node would refuse the handshake.
func (h Handshake) Sendable() error {
	err := CheckHeight(h.height)
	if err != nil {
		return err
	}

	return h.players.Sendable()
}

// CheckHeight returns an error for a height that no tree has. A leaf may have -1.
func CheckHeight(height int) error {
	if height < -1 || height > MaxHeight {
		return fmt.Errorf("height %d is not between -1 and %d", height, MaxHeight)
	}

	return nil
}
