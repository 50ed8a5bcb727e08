package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
)

// number is the message of the protocol in the example, and numbers its factory.
type number int

func (n number) Serialize(ctx serde.Context) ([]byte, error) { return ctx.Marshal(int(n)) }

type numbers struct{}

func (numbers) Deserialize(ctx serde.Context, data []byte) (serde.Message, error) {
	var n number
	err := ctx.Unmarshal(data, &n)

	return n, err
}

// doubler is the handler on every player: it doubles what it gets.
type doubler struct{}

// Process implements mino.Handler.
func (doubler) Process(req mino.Request) (serde.Message, error) {
	n, _ := req.Message.(number)

	return 2 * n, nil
}

// Stream implements mino.Handler. It lasts until the stream ends.
func (doubler) Stream(out mino.Sender, in mino.Receiver) error {
	for {
		from, msg, err := in.Recv(context.Background())

		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, new(*session.MessageError)):
			continue // Only this message cannot be read.
		case err != nil:
			return err
		}

		n, _ := msg.(number)
		out.Send(2*n, from)
	}
}

// application asks all the nodes in a call, and in a stream, to double a number.
func application(ctx context.Context, nodes ...mino.Mino) error {
	var rpc mino.RPC

	addrs := make([]mino.Address, len(nodes))

	for i, n := range nodes {
		addrs[i] = n.GetAddress()
		rpc = mino.MustCreateRPC(n.WithSegment("math"), "double", doubler{}, numbers{})
	}

	answers, err := rpc.Call(ctx, number(4), mino.NewAddresses(addrs...))
	if err != nil {
		return err
	}

	for answer := range answers {
		msg, err := answer.GetMessageOrError()
		if err != nil {
			return err
		}

		fmt.Println("call:", msg)
	}

	return stream(ctx, rpc, addrs)
}

// stream opens a stream to the players, and sends the same number to each.
func stream(ctx context.Context, rpc mino.RPC, players []mino.Address) error {
	out, in, err := rpc.Stream(ctx, mino.NewAddresses(players...))
	if err != nil {
		return err
	}

	if failure := <-out.Send(number(21), players...); failure != nil {
		return failure
	}

	for range players {
		_, msg, err := in.Recv(ctx)
		if err != nil {
			return err
		}

		fmt.Println("stream:", msg)
	}

	return nil
}
