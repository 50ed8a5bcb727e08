package protocol_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/protocol"
)

// Step is a message of a protocol with two rounds: a Commit, and then a Reveal.
type Step interface{ step() }

type Commit struct{ Round int }

type Reveal struct{ Names []string }

func (Commit) step() {}
func (Reveal) step() {}

// steps is the codec of the protocol, with the names of its messages on the wire.
func steps() protocol.Codec {
	return protocol.Types(nil, map[string]Step{"commit": Commit{}, "reveal": Reveal{}})
}

// A protocol with two rounds, whose messages are of several types.
func Example_rounds() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	nodes, stop := startNodes(3)
	defer stop()
	defer cancel() // Before the nodes stop.

	play := protocol.Answer(func(_ context.Context, step Step) (int, error) {
		switch step := step.(type) {
		case Commit:
			return step.Round, nil
		case Reveal:
			return len(step.Names), nil
		default:
			return 0, fmt.Errorf("what is a %T?", step)
		}
	})

	var proc *protocol.Procedure[Step, int]

	addrs := make([]mino.Address, len(nodes))
	for i, node := range nodes {
		proc, _ = protocol.Define(node, "rounds", play, protocol.WithCodec(steps()))
		addrs[i] = node.GetAddress()
	}

	stream, err := proc.Open(ctx, mino.NewAddresses(addrs...))
	if err != nil {
		log.Panic(err)
	}

	for _, step := range []Step{Commit{Round: 7}, Reveal{Names: []string{"alice", "bob"}}} {
		answers, err := protocol.Quorum(stream.Gather(ctx, step, addrs...), len(addrs), nil)
		fmt.Println(len(answers), "answers, the first is", answers[0].Value, "and the error", err)
	}

	// Output:
	// 3 answers, the first is 7 and the error <nil>
	// 3 answers, the first is 2 and the error <nil>
}
