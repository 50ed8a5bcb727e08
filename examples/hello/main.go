// Command hello asks two nodes, and one that does not exist.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/protocol"
	"github.com/minogrpc/session/router/tree"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	alice, greeting, stop := start("alice")
	defer stop()

	bob, _, stop := start("bob")
	defer stop()

	nobody := session.NewAddress("grpc://nobody:1")
	for addr, answer := range greeting.Gather(ctx, "hello", mino.NewAddresses(alice, bob, nobody)) {
		if answer.Err != nil {
			fmt.Println(answer.Err)
		} else {
			fmt.Println(addr, "says", answer.Value)
		}
	}
}

// start starts a node that answers what it is asked.
func start(name string) (addr mino.Address, greeting *protocol.Procedure[string, string], stop func()) {
	router := tree.NewRouter(minogrpc.NewAddressFactory())
	node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil, router, minogrpc.NoTLS())
	check(err)

	answer := func(_ context.Context, hello string) (string, error) { return hello + ", I am " + name, nil }
	greeting, err = protocol.Define(node, "hello", protocol.Answer(answer))
	check(err)

	return node.GetAddress(), greeting, func() { check(node.Stop()) }
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
