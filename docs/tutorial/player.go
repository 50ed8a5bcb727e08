package main

import (
	"context"
	"crypto/ed25519"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/protocol"
)

// Signing is the procedure of one node. The node calls it on others.
type Signing = protocol.Procedure[Ask, Share]

// Play is what a player does in a stream.
type Play = protocol.Play[Ask, Share]

// Sign is the play of an honest player. It answers each request with its share.
func Sign(key ed25519.PrivateKey) Play {
	return protocol.Answer(func(_ context.Context, ask Ask) (Share, error) {
		return Share{Signature: ed25519.Sign(key, []byte(ask.Message))}, nil
	})
}

// DefineSigning registers the play on a node. All nodes use the same name and types.
func DefineSigning(node mino.Mino, play Play) (*Signing, error) {
	return protocol.Define(node, "sign", play)
}
