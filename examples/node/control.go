package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// control is the Unix socket over which a node is asked to count, by whoever may enter its
// folder. A client sends an [order], and gets an [event] after the other until there is a
// last one. If it closes the connection before, the count ends.
type control struct {
	net.Listener
}

// listenIn opens the socket of a folder. It is an error if a node runs there.
func listenIn(ctx context.Context, data folder) (*control, error) {
	path := data.socket()

	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)

	switch {
	case err == nil:
		return nil, errors.Join(fmt.Errorf("a node runs in %s already", data), conn.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		// What is left of a process that was killed would be in the way.
		_ = os.Remove(path)
	}

	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}

	err = os.Chmod(path, 0o600)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the control socket: %w", err), listener.Close())
	}

	return &control{Listener: listener}, nil
}

// serve has the node do what clients order until the context is done, and waits for them.
func (c *control) serve(ctx context.Context, n *node) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()

	var clients sync.WaitGroup
	defer clients.Wait()

	for {
		conn, err := c.Accept()
		if err != nil {
			return
		}

		clients.Go(func() { serveClient(ctx, n, conn) })
	}
}

// serveClient does what one client orders. The end of the connection, from either side,
// is the end of it.
func serveClient(ctx context.Context, n *node, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var reader sync.WaitGroup
	defer reader.Wait()

	// A client that is silent, or does not read, holds up nobody's end.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()

	tell := func(e event) {
		err := json.NewEncoder(conn).Encode(e)
		if err != nil {
			cancel() // nobody listens any more
		}
	}

	var o order

	err := json.NewDecoder(conn).Decode(&o)
	if err != nil {
		tell(event{Error: fmt.Sprintf("read the order: %v", err)})

		return
	}

	reader.Go(func() {
		defer cancel()

		_, _ = io.Copy(io.Discard, conn) // it ends with the connection
	})

	tell(n.count(ctx, o, tell))
}
