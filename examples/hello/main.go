// Command hello sends a message to two nodes, and to one that does not exist.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
)

type text string // a message, and the factory that makes it again of its bytes

func (t text) Serialize(serde.Context) ([]byte, error) { return []byte(t), nil }

func (text) Deserialize(_ serde.Context, data []byte) (serde.Message, error) { return text(data), nil }

type echo struct{ mino.UnsupportedHandler } // what runs on each of the players

func (echo) Stream(out mino.Sender, in mino.Receiver) error {
	from, msg, err := in.Recv(context.Background())
	if err != nil {
		return err
	}

	return <-out.Send(msg, from) // the first error, or nil when the message has arrived
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	alice, rpc, stop := start()
	defer stop()

	bob, _, stop := start()
	defer stop()

	out, in, err := rpc.Stream(ctx, mino.NewAddresses(alice, bob))
	check(err)

	nobody := session.NewAddress("grpc://nobody:1")
	for err := range out.Send(text("hello"), alice, bob, nobody) {
		fmt.Println(err) // one for each destination that is not reached
	}

	for range 2 {
		from, msg, err := in.Recv(ctx)
		check(err)
		fmt.Println(from, "says", msg)
	}
}

func start() (addr mino.Address, rpc mino.RPC, stop func()) {
	router := tree.NewRouter(minogrpc.NewAddressFactory())
	node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil, router, minogrpc.NoTLS())
	check(err)

	rpc = mino.MustCreateRPC(node, "hello", echo{}, text(""))

	return node.GetAddress(), rpc, func() { check(node.Stop()) }
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
