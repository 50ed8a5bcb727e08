package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/protocol"
)

// Ask is the request for the share of a node, and Share its answer.
type Ask struct{ Message string }

type Share struct {
	Signer  string
	Message string
}

// errForged is what the orchestrator says about a share that is not the one that it has asked for.
var errForged = errors.New("the share is forged")

// Sign is what every node does: it answers with its share.
func Sign(node mino.Mino) protocol.Play[Ask, Share] {
	return protocol.Answer(func(_ context.Context, ask Ask) (Share, error) {
		return Share{Signer: node.GetAddress().String(), Message: ask.Message}, nil
	})
}

// Threshold asks all players, and returns the first k good shares. It waits for no player that is known to be
// gone, and for the others until the context is done.
func Threshold(
	ctx context.Context, signing *protocol.Procedure[Ask, Share], message string, players mino.Players, k int,
) ([]protocol.Result[Share], error) {
	gathering := signing.Gather(ctx, Ask{message}, players)

	return protocol.Quorum(gathering, k, func(from mino.Address, s Share) error {
		if s.Message != message || s.Signer != from.String() {
			return errForged
		}

		return nil
	})
}

// Seven nodes sign a message, and five shares are enough.
func Example_gather() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	nodes, stop := startNodes(7)
	defer stop()

	var signing *protocol.Procedure[Ask, Share]

	addrs := make([]mino.Address, len(nodes))
	for i, node := range nodes {
		signing, _ = protocol.Define(node, "sign", Sign(node))
		addrs[i] = node.GetAddress()
	}

	shares, err := Threshold(ctx, signing, "hello", mino.NewAddresses(addrs...), 5)
	fmt.Println(len(shares), "good shares, error:", err)

	// Output: 5 good shares, error: <nil>
}
