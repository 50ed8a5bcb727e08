package main

import (
	"crypto/ed25519"
	"log"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
)

// StartNode starts a signing node on a free port of this machine.
func StartNode(key ed25519.PrivateKey) (addr mino.Address, signing *Signing, stop func()) {
	router := tree.NewRouter(minogrpc.NewAddressFactory())
	node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil, router, minogrpc.NoTLS())
	check(err)

	signing, err = DefineSigning(node, Sign(key))
	check(err)

	return node.GetAddress(), signing, func() { check(node.Stop()) }
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
