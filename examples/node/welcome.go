package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// program is how this one is run.
	program = "go run ./examples/node"

	knows = "Knows %v now.\n"
)

// plainWord is what the shell takes as it is.
var plainWord = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

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

	n.screen.Printf("Pid      %d\n", os.Getpid())
	n.screen.Printf("Address  %v\n", n.GetAddress())
	n.screen.Printf("Digest   %x\n", digest)
	n.screen.Printf("Token    %s (lets in %d, within %v)\n", token, opts.uses, opts.expires)
	n.screen.Printf("Nodes    %d known, with this one\n\n", len(known))

	me, err := urlOf(n.GetAddress())
	if err != nil {
		return err
	}

	// The folder is a new one for each node that is started with the line.
	n.screen.Printf("Join with\n  %s -listen %v -data \"$(mktemp -d)\" -join %v -token %s -digest %x\n",
		program, net.JoinHostPort(me.Hostname(), "0"), n.GetAddress(), token, digest)
	n.screen.Printf("Start again with\n  %s -data %s\n", program, quote(string(n.data)))
	n.screen.Printf("Count with\n  %s count -data %s\n\n", program, quote(string(n.data)))

	return nil
}

// quote returns the text as a word of the shell.
func quote(text string) string {
	if plainWord.MatchString(text) {
		return text
	}

	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// learned prints that there is another node, once this one is a member of its network:
// until then there may be none that would say the same of it.
func (n *node) learned(addr mino.Address) {
	n.mu.Lock()
	defer n.mu.Unlock()

	if !n.joined {
		n.early = append(n.early, addr)

		return
	}

	n.screen.Printf(knows, addr)
}

// showLearned prints the nodes that have been learned of until now, and lets the next ones
// be printed at once.
func (n *node) showLearned() {
	n.mu.Lock()
	defer n.mu.Unlock()

	for _, addr := range n.early {
		n.screen.Printf(knows, addr)
	}

	n.joined, n.early = true, nil
}

// lose notes that a stream has lost a node. The log says so.
func (n *node) lose(_ session.StreamInfo, loss session.Loss) {
	n.mu.Lock()
	defer n.mu.Unlock()

	if loss.IsNoticed() {
		n.lost[loss.Node.String()] = true
	}
}

// find prints that a stream has reached a node that was lost.
func (n *node) find(_ session.StreamInfo, peer mino.Address) {
	n.mu.Lock()
	defer n.mu.Unlock()

	if name := peer.String(); n.lost[name] {
		delete(n.lost, name)
		n.screen.Printf("Back %s\n", name)
	}
}

// catchUp asks the nodes that this one knows whom it has missed while it was away, until
// one of them tells. It takes no token: they know this one, too.
func (n *node) catchUp(ctx context.Context) {
	known, _ := n.known() // the error has been printed
	others := known[1:]

	for pause := firstPause; len(others) > 0; pause = min(2*pause, lastPause) {
		silent, err := n.askAround(others)

		switch {
		case err == nil || ctx.Err() != nil:
			return
		case len(silent) == 0:
			n.screen.Printf("Nobody lets this node in. Unless another key is stored for its address, " +
				"it can join again: with -join, -token and -digest.\n")

			return
		case pause == firstPause:
			n.screen.Printf("None of the other nodes answers. They are asked until one does. "+
				"The last error:\n  %v\n", err)
		}

		others = silent

		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// askAround asks one node after the other until one tells whom it knows. Otherwise it
// returns the last error, and those that have not answered. Who has refused would do so
// again, and count it as another wrong token.
func (n *node) askAround(others []mino.Address) (silent []mino.Address, err error) {
	for _, peer := range others {
		err = n.rejoin(peer)

		switch status.Code(err) {
		case codes.OK:
			n.screen.Printf("%v has told what there was to miss.\n", peer)

			return nil, nil
		case codes.PermissionDenied, codes.AlreadyExists:
			n.screen.Printf("%v answers, and refuses this node:\n  %v\n", peer, err)
		default:
			silent = append(silent, peer)
		}
	}

	return silent, err
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
