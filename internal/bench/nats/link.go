package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/router/tree"
	"github.com/minogrpc/session/serde"
)

// link is an overlay of a node that has opened a stream, two players, and the link between these.
type link struct {
	nodes    []*minogrpc.Minogrpc
	cancel   context.CancelFunc
	over     chan struct{}
	from, to end
	addr     mino.Address
	msg      blob
}

// end is what a player has of the stream.
type end struct {
	out mino.Sender
	in  mino.Receiver
}

// newLink starts the nodes and opens the stream.
func newLink(msg []byte) (*link, error) {
	l := &link{over: make(chan struct{}), msg: msg}

	var ctx context.Context

	ctx, l.cancel = context.WithCancel(context.Background())

	if err := l.open(ctx); err != nil {
		return nil, errors.Join(err, l.close())
	}

	return l, nil
}

func (l *link) open(ctx context.Context) error {
	var (
		ends    [3]chan end
		players []mino.Address
		rpc     mino.RPC
	)

	for i := range ends {
		ends[i] = make(chan end, 1)

		node, err := startNode()
		if err != nil {
			return err
		}

		l.nodes = append(l.nodes, node)

		made, err := node.CreateRPC("bench", player{came: ends[i], over: l.over}, blob(nil))
		if err != nil {
			return err
		}

		if i == 0 {
			rpc = made
		} else {
			players = append(players, node.GetAddress())
		}
	}

	out, _, err := rpc.Stream(ctx, mino.NewAddresses(players...))
	if err != nil {
		return err
	}

	// The channel has an error, or is closed without one.
	if err := <-out.Send(l.msg, players...); err != nil {
		return err
	}

	l.from, l.to, l.addr = <-ends[1], <-ends[2], players[1]

	return errors.Join(l.from.collect(1), l.to.collect(1))
}

// startNode starts a node on the loopback interface. Its outboxes have room for what one side of
// a round sends.
func startNode() (*minogrpc.Minogrpc, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}

	public := &url.URL{Scheme: "grpc", Host: listener.Addr().String()}

	return minogrpc.NewMinogrpc(nil, public, tree.NewRouter(minogrpc.NewAddressFactory()),
		minogrpc.WithListener(listener), minogrpc.NoTLS(),
		minogrpc.WithSessionOptions(session.WithOutboxLimits(1<<20, room)))
}

// pour sends messages, and looks at no outcome, until all have been received.
func (l *link) pour(n int) error {
	sent := make(chan struct{})

	go func() {
		defer close(sent)

		for range n {
			l.from.out.Send(l.msg, l.addr)
		}
	}()

	err := l.to.collect(n)
	<-sent

	return err
}

// collect receives that many messages.
func (e end) collect(n int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	for got := range n {
		if _, _, err := e.in.Recv(ctx); err != nil {
			return fmt.Errorf("%d of %d messages have come: %w", got, n, err)
		}
	}

	return nil
}

// close ends the stream and the nodes.
func (l *link) close() error {
	close(l.over)
	l.cancel()

	var err error
	for _, node := range l.nodes {
		err = errors.Join(err, node.Stop())
	}

	return err
}

// player is a handler that leaves its end of the stream to somebody else.
type player struct {
	mino.UnsupportedHandler

	came chan<- end
	over <-chan struct{}
}

// Stream implements mino.Handler.
func (p player) Stream(out mino.Sender, in mino.Receiver) error {
	p.came <- end{out, in}
	<-p.over

	return nil
}

// blob is a message that is its own bytes, and its own factory.
type blob []byte

// Serialize implements serde.Message.
func (b blob) Serialize(serde.Context) ([]byte, error) { return b, nil }

// Deserialize implements serde.Factory.
func (blob) Deserialize(_ serde.Context, data []byte) (serde.Message, error) { return blob(data), nil }
