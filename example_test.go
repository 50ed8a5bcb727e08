package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
)

// integer is a message.
type integer int

func (n integer) Serialize(ctx serde.Context) ([]byte, error) { return ctx.Marshal(int(n)) }

// integers is the factory for integer.
type integers struct{}

func (integers) Deserialize(ctx serde.Context, data []byte) (serde.Message, error) {
	var n integer
	err := ctx.Unmarshal(data, &n)

	return n, err
}

// doubler is the handler that runs on every player: it doubles what it gets until
// the stream ends.
type doubler struct{ mino.UnsupportedHandler }

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

		n, _ := msg.(integer)
		out.Send(2*n, from)
	}
}

// startNodes returns the addresses of a few nodes, and the procedure of the first.
// Stop ends them all.
func startNodes(count int) (players []mino.Address, rpc mino.RPC, stop func()) {
	nodes := make([]*minogrpc.Minogrpc, 0, count)

	for range count {
		node, err := minogrpc.NewMinogrpc(minogrpc.ParseAddress("127.0.0.1", 0), nil,
			tree.NewRouter(minogrpc.NewAddressFactory()), minogrpc.NoTLS())
		if err != nil {
			panic(err)
		}

		nodes = append(nodes, node)
		players = append(players, node.GetAddress())

		procedure := mino.MustCreateRPC(node, "double", doubler{}, integers{})
		if rpc == nil {
			rpc = procedure
		}
	}

	return players, rpc, func() {
		for _, node := range nodes {
			if err := node.Stop(); err != nil {
				panic(err)
			}
		}
	}
}

// A protocol opens a stream to its players, sends, looks at the outcomes, and
// receives.
func Example() {
	players, rpc, stop := startNodes(7)
	defer stop()

	// The end of the context is the end of the stream.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	out, in, err := rpc.Stream(ctx, mino.NewAddresses(players...))
	if err != nil {
		fmt.Println("no stream:", err)

		return
	}

	for err := range out.Send(integer(3), players...) {
		fmt.Println("not delivered:", err)
	}

	sum := 0

	for range players {
		_, msg, err := in.Recv(ctx)
		if err != nil {
			fmt.Println("no reply:", err)

			return
		}

		n, _ := msg.(integer)
		sum += int(n)
	}

	fmt.Println("seven players reply", sum)
	// Output: seven players reply 42
}

// The reason of an outcome is what a sender branches on.
func ExampleDeliveryError() {
	players, rpc, stop := startNodes(2)
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	out, _, err := rpc.Stream(ctx, mino.NewAddresses(players...))
	if err != nil {
		fmt.Println("no stream:", err)

		return
	}

	stranger := session.NewAddress("grpc://stranger.example.org:2000")

	for err := range out.Send(integer(1), players[0], stranger, players[1]) {
		var failure *session.DeliveryError
		if !errors.As(err, &failure) {
			continue
		}

		switch failure.Reason {
		case session.ReasonOverflow:
			fmt.Println("slow down for", failure.Destination)
		case session.ReasonTimeout:
			fmt.Println("nobody knows about", failure.Destination)
		default:
			fmt.Println("forget", failure.Destination, "because of", failure.Reason)
		}
	}
	// Output: forget grpc://stranger.example.org:2000 because of no route
}

// An address may be that of the orchestrator or of the player on the same host.
// FollowerOf is one key for all its forms.
func ExampleFollowerOf() {
	player := session.NewAddress("grpcs://127.0.0.1:2000")
	orchestrator := session.NewOrchestratorAddress(player)

	replies := map[mino.Address]int{}
	replies[session.FollowerOf(player)]++
	replies[session.FollowerOf(orchestrator)]++

	fmt.Println(player, replies[player])
	fmt.Println(orchestrator, player.Equal(orchestrator))
	// Output:
	// grpcs://127.0.0.1:2000 2
	// Orchestrator:grpcs://127.0.0.1:2000 false
}
