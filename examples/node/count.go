package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/minogrpc/session/examples/internal/screen"
)

// countOptions are what the subcommand is told.
type countOptions struct {
	data string

	// dir is the folder whose words are counted.
	dir     string
	timeout time.Duration

	// again is how long they are counted again and again.
	again time.Duration
}

// count asks the node that runs in the data folder to orchestrate a count, and prints how
// it goes on.
func count(ctx context.Context, stdout io.Writer, opts countOptions) error {
	dir, err := filepath.Abs(opts.dir)
	if err != nil {
		return fmt.Errorf("folder to count: %w", err)
	}

	most := opts.timeout + opts.again

	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("it has taken more than %v", most))
	defer cancel()

	s := screen.New(stdout)

	err = ask(ctx, folder(opts.data), order{Count: dir, For: opts.again}, s)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}

	return errors.Join(err, s.Err())
}

// ask gives an order to the node that runs in the folder. It ends with the context.
func ask(ctx context.Context, data folder, o order, s *screen.Screen) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", data.socket())
	if err != nil {
		return fmt.Errorf("no node runs in %s: %w", data, err)
	}

	defer func() { _ = conn.Close() }() // the node has said all, or is not asked any more

	// The end of the connection is the end of the count in the node.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()

	err = follow(conn, o, s)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the node in %s has ended before the count: %w", data, err)
	}

	return err
}

// follow sends the order, and prints the events until the last one.
func follow(conn net.Conn, o order, s *screen.Screen) error {
	err := json.NewEncoder(conn).Encode(o)
	if err != nil {
		return fmt.Errorf("send the order: %w", err)
	}

	for events := json.NewDecoder(conn); ; {
		var e event

		err := events.Decode(&e)
		if err != nil {
			return fmt.Errorf("read what the node says: %w", err)
		}

		switch {
		case e.Asking != nil:
			s.Printf("Asking %s for their shares of %s:\n",
				screen.Count(e.Asking.Nodes, "node"), screen.Count(e.Asking.Files, "file"))
		case e.Counted != nil:
			showReply(s, e.Counted)
		case e.Waiting != nil:
			s.Printf("  waiting for %s\n", strings.Join(e.Waiting, ", "))
		case e.Outcomes != nil:
			showOutcomes(s, e.Outcomes)
		case e.Sum != nil:
			s.Printf("The replies add up to %s, and so does the node's own count.\n", screen.Count(*e.Sum, "word"))

			if !e.Again {
				return nil
			}
		default:
			return errors.New(e.Error)
		}
	}
}

func showReply(s *screen.Screen, c *counted) {
	s.Progress(c.Done, c.All, screen.Count(c.Sum, "word"),
		fmt.Sprintf("%s counted %s in %d of the files", c.Node, screen.Count(c.Words, "word"), c.Files))
}

// showOutcomes prints a table with what became of the request to each of the nodes.
func showOutcomes(s *screen.Screen, rows []row) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r.Node))
	}

	s.Printf("\n    %-*s  %-12s %8s %8s\n", width, "NODE", "OUTCOME", "FILES", "WORDS")

	for _, r := range rows {
		if r.Cause == "" {
			s.Printf("    %-*s  %-12s %8d %8d\n", width, r.Node, r.Outcome, r.Files, r.Words)
		} else {
			s.Printf("  ✗ %-*s  %s\n    %s says: %s\n", width, r.Node, r.Outcome, r.Hop, r.Cause)
		}
	}

	s.Printf("\n")
}
