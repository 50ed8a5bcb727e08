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
)

// control is the Unix socket over which a node is asked to count, by whoever may enter its
// folder. A client sends one order, and gets the events of the count until it closes the
// connection, which ends it, or there is a last event. All are JSON, one a line.
type control struct {
	net.Listener
}

// order is what a client wants.
type order struct {
	// Count is the folder whose words are counted, as an absolute path.
	Count string
}

// event is what a client is told. One of the fields is set.
type event struct {
	Asking   *asking  `json:",omitempty"`
	Counted  *counted `json:",omitempty"`
	Outcomes []row    `json:",omitempty"`

	// Sum is that of all the words, and Error why there is none. Either is the last.
	Sum   *int   `json:",omitempty"`
	Error string `json:",omitempty"`
}

// asking: so many nodes are asked about so many files.
type asking struct {
	Nodes, Files int
}

// counted: a node has replied, the last of Done out of All. Sum is that of the words in
// the replies until now.
type counted struct {
	Node           string
	Files, Words   int
	Done, All, Sum int
}

// row is the outcome of the request to one node.
type row struct {
	Node    string
	Outcome string

	// Files and Words are what the node has counted.
	Files int `json:",omitempty"`
	Words int `json:",omitempty"`

	// Hop is who gave up and Cause why, if the node was not reached.
	Hop   string `json:",omitempty"`
	Cause string `json:",omitempty"`
}

// listenIn opens the socket of a folder. It is an error if a node runs there.
func listenIn(data folder) (*control, error) {
	path := data.socket()

	conn, err := net.Dial("unix", path)
	if err == nil {
		return nil, errors.Join(fmt.Errorf("a node runs in %s already", data), conn.Close())
	}

	// What is left of a process that was killed would be in the way.
	_ = os.Remove(path)

	listener, err := net.Listen("unix", path)
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

	// A client that is gone, or does not read, holds up nothing.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()

	var o order

	out := json.NewEncoder(conn)

	err := json.NewDecoder(conn).Decode(&o)
	if err != nil {
		_ = out.Encode(event{Error: fmt.Sprintf("read the order: %v", err)})

		return
	}

	reader.Go(func() {
		defer cancel()

		_, _ = io.Copy(io.Discard, conn)
	})

	_ = out.Encode(n.count(ctx, o.Count, out)) // who does not hear it is gone
}
