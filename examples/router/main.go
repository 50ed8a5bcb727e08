// Command router sends a message over a router of its own: a star, in star.go. Four nodes print who
// their parent is.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/kit"
	"github.com/minogrpc/session/serde"
)

type text string // a message, and the factory that makes it again of its bytes

func (t text) Serialize(serde.Context) ([]byte, error) { return []byte(t), nil }

func (text) Deserialize(_ serde.Context, data []byte) (serde.Message, error) { return text(data), nil }

type child struct{ mino.UnsupportedHandler } // what runs on each of the players

// Stream answers with the parent of the node, which shows the way that the message has taken.
func (child) Stream(out mino.Sender, in mino.Receiver) error {
	from, _, err := in.Recv(context.Background())
	if err != nil {
		return err
	}

	parent, _ := host.ParentOf(in)

	return <-out.Send(text(parent.String()), from)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	var rpc mino.RPC

	players := make([]mino.Address, 4)
	for i := range players {
		router := Star{kit.NewMessages(minogrpc.NewAddressFactory(), 0)}
		node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil, router, minogrpc.NoTLS())
		check(err)

		defer func() { check(node.Stop()) }()

		rpc = mino.MustCreateRPC(node, "child", child{}, text(""))
		players[i] = node.GetAddress()
	}

	out, in, err := rpc.Stream(ctx, mino.NewAddresses(players...))
	check(err)

	for err := range out.Send(text("who is your parent?"), players...) {
		check(err)
	}

	for range players {
		from, msg, err := in.Recv(ctx)
		check(err)
		fmt.Println(from, "is a child of", msg)
	}
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}
