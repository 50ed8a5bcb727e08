// Command passage lists the functions that one packet passes on its way A -> B -> C, with its
// outcome. It must be built with the counters of the coverage, as make passage does:
//
//	go run -cover -covermode=atomic -coverpkg=./... ./internal/bench/passage counters
//	go tool covdata func -i=counters
//
// A is an orchestrator, B the root and C a player behind it, each on a node of its own. Before
// the packet that counts, another one takes the same way, so that all links are open.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime/coverage"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
)

// quiet is how long nothing happens before the packet that counts: enough for receipts that are
// still on their way, and much less than the time between two heartbeats.
const quiet = 200 * time.Millisecond

func main() {
	err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "passage:", err)
		os.Exit(1)
	}
}

// run writes the counters of the one packet to the folder that the arguments name.
func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: passage folder")
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	out, target, arrived, err := start(ctx)
	if err != nil {
		return err
	}

	if err := send(ctx, out, target, arrived); err != nil {
		return err
	}

	time.Sleep(quiet)

	if err := coverage.ClearCounters(); err != nil {
		return fmt.Errorf("the command is built without counters: %w", err)
	}

	if err := send(ctx, out, target, arrived); err != nil {
		return err
	}

	if err := coverage.WriteMetaDir(args[0]); err != nil {
		return err
	}

	return coverage.WriteCountersDir(args[0])
}

// start opens the stream, and returns what sends to C. The nodes live as long as the process.
func start(ctx context.Context) (out mino.Sender, target mino.Address, arrived <-chan struct{}, err error) {
	received := make(chan struct{}, 1)

	var (
		rpc     mino.RPC
		players []mino.Address
	)

	for i := range 3 {
		node, err := startNode(ctx)
		if err != nil {
			return nil, nil, nil, err
		}

		created, err := node.CreateRPC("passage", player{received: received}, text(""))
		if err != nil {
			return nil, nil, nil, err
		}

		if i == 0 {
			rpc = created
		} else {
			players = append(players, node.GetAddress())
		}
	}

	out, _, err = rpc.Stream(ctx, mino.NewAddresses(players...))

	return out, players[1], received, err
}

// startNode starts a node on the loopback interface.
func startNode(ctx context.Context) (*minogrpc.Minogrpc, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}

	public := &url.URL{Scheme: "grpc", Host: listener.Addr().String()}
	trees := tree.NewRouter(minogrpc.NewAddressFactory(), tree.WithHeight(1))

	return minogrpc.NewMinogrpc(nil, public, trees, minogrpc.WithListener(listener), minogrpc.NoTLS())
}

// send sends one message, and waits until it has arrived and its outcome is known.
func send(ctx context.Context, out mino.Sender, target mino.Address, arrived <-chan struct{}) error {
	for err := range out.Send(text("hello"), target) {
		return err
	}

	select {
	case <-arrived:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// player implements mino.Handler, and tells what it receives.
type player struct {
	mino.UnsupportedHandler

	received chan<- struct{}
}

// Stream implements mino.Handler.
func (p player) Stream(_ mino.Sender, in mino.Receiver) error {
	for {
		_, _, err := in.Recv(context.Background())
		if err != nil {
			return err
		}

		p.received <- struct{}{}
	}
}

// text implements serde.Message, and is its own factory.
type text string

// Serialize implements serde.Message.
func (t text) Serialize(serde.Context) ([]byte, error) { return []byte(t), nil }

// Deserialize implements serde.Factory.
func (text) Deserialize(_ serde.Context, data []byte) (serde.Message, error) { return text(data), nil }
