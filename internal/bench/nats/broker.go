package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	// patience is how long a side waits for what must come.
	patience = 2 * time.Minute

	// subject is where the messages go.
	subject = "bench"

	// room is how much may wait for a client: as much as an outbox has room for in the comparison.
	room = 1 << 30
)

// broker is an embedded server of NATS, and two clients.
type broker struct {
	server   *server.Server
	from, to *nats.Conn
	sub      *nats.Subscription
	msg      []byte
}

// newBroker starts the server and connects the clients.
func newBroker(msg []byte) (*broker, error) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, MaxPending: room,
	})
	if err != nil {
		return nil, err
	}

	b := &broker{server: s, msg: msg}

	s.Start()

	if !s.ReadyForConnections(patience) {
		b.close()

		return nil, errors.New("the server of NATS is not ready")
	}

	if err := b.connect(); err != nil {
		b.close()

		return nil, err
	}

	return b, nil
}

func (b *broker) connect() error {
	var err error

	if b.from, err = nats.Connect(b.server.ClientURL()); err != nil {
		return err
	}

	if b.to, err = nats.Connect(b.server.ClientURL()); err != nil {
		return err
	}

	if b.sub, err = b.to.SubscribeSync(subject); err != nil {
		return err
	}

	if err = b.sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}

	// The server knows of the subscription before anything is published.
	return b.to.FlushTimeout(patience)
}

// pour publishes messages until all have been received.
func (b *broker) pour(n int) error {
	published := make(chan error, 1)

	go func() { published <- b.publish(n) }()

	for got := range n {
		if _, err := b.sub.NextMsg(patience); err != nil {
			return errors.Join(fmt.Errorf("%d of %d messages have come: %w", got, n, err), <-published)
		}
	}

	return <-published
}

func (b *broker) publish(n int) error {
	for range n {
		if err := b.from.Publish(subject, b.msg); err != nil {
			return err
		}
	}

	return b.from.FlushTimeout(patience)
}

// close ends the clients and the server.
func (b *broker) close() {
	for _, client := range []*nats.Conn{b.from, b.to} {
		if client != nil {
			client.Close()
		}
	}

	b.server.Shutdown()
	b.server.WaitForShutdown()
}
