package main

import (
	"context"
	"crypto/ed25519"
	"errors"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/protocol"
)

// ErrForged is the error of a share that does not fit the message and the key of the player.
var ErrForged = errors.New("the share is forged")

// Keys has the public key of each player, by the text of its address.
type Keys map[string]ed25519.PublicKey

// Threshold asks all players to sign the message. It returns the first k good shares.
func Threshold(
	ctx context.Context, signing *Signing, message string, players mino.Players, keys Keys, k int,
) ([]protocol.Result[Share], error) {
	verify := func(from mino.Address, share Share) error {
		key, known := keys[from.String()]
		if !known || !ed25519.Verify(key, []byte(message), share.Signature) {
			return ErrForged
		}

		return nil
	}

	return protocol.Quorum(signing.Gather(ctx, Ask{Message: message}, players), k, verify)
}
