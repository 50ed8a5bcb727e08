package main

import (
	"context"
	"net/netip"
	"net/url"
	"time"

	"github.com/minogrpc/session/mino"
)

// program is how this one is run.
const program = "go run ./examples/node"

// Who comes back while everybody is away asks again, after a pause that doubles.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// introduce prints who the node is, and what can be done with it.
func (n *node) introduce(opts nodeOptions) error {
	digest, err := n.GetCertificateStore().Hash(n.GetCertificateChain())
	if err != nil {
		return err
	}

	token := n.GenerateToken(opts.expires)

	known, damaged := n.known()
	if damaged != nil {
		n.screen.Printf("Left out: %v\n", damaged)
	}

	n.screen.Printf("Address  %v\n", n.GetAddress())
	n.screen.Printf("Digest   %x\n", digest)
	n.screen.Printf("Token    %s (lets in %d, within %v)\n", token, opts.uses, opts.expires)
	n.screen.Printf("Nodes    %d known, with this one\n\n", len(known))

	// The folder is a new one for each node that is started with the line.
	n.screen.Printf("Join with\n  %s -listen %v -data \"$(mktemp -d)\" -join %v -token %s -digest %x\n",
		program, netip.AddrPortFrom(opts.listen.Addr(), 0), n.GetAddress(), token, digest)
	n.screen.Printf("Count with\n  %s count -data %s\n\n", program, n.data)

	return nil
}

// learned prints that there is another node. It may be called before the node is up.
func (n *node) learned(addr mino.Address) {
	n.screen.Printf("Knows %v now.\n", addr)
}

// catchUp asks the nodes that this one knows whom it has missed while it was away, until
// one of them answers. It takes no token: they know this one, too.
func (n *node) catchUp(ctx context.Context) {
	known, _ := n.known() // the error has been printed
	others := known[1:]

	for pause := firstPause; len(others) > 0; pause = min(2*pause, lastPause) {
		for _, peer := range others {
			err := n.rejoin(peer)
			if err == nil {
				n.screen.Printf("%v has told what there was to miss.\n", peer)

				return
			}
		}

		if pause == firstPause {
			n.screen.Printf("None of the other nodes answers. They are asked until one does.\n")
		}

		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// rejoin asks a node that is known whom it knows.
func (n *node) rejoin(peer mino.Address) error {
	target, err := urlOf(peer)
	if err != nil {
		return err
	}

	// The certificate in the store says who the other one is.
	return n.Join(target, "", nil)
}

// urlOf returns the form of an address that others join.
func urlOf(addr mino.Address) (*url.URL, error) {
	return url.Parse(addr.String())
}
