// Command node runs a node of a network as a process of its own, and has the nodes of
// the network count the words of a folder.
//
//	node -listen 127.0.0.1:0 -data DIR
//
// starts the first node, and prints how others join, and how to start this one again.
// What a node is, it keeps in its folder: its key, its address, and the certificates of
// the nodes that it knows. So a process that ends, in whatever way, comes back as the same
// node, and asks the others what it has missed. SIGINT and SIGTERM end it cleanly.
//
//	node count -data DIR [FOLDER]
//
// asks the node that runs in DIR, over a socket there, to orchestrate the count over all
// the nodes that it knows. Everybody must find FOLDER under the same path, in what -serve names.
//
//	node -data DIR -debug 127.0.0.1:6060
//	node top -debug 127.0.0.1:6060
//
// serves a page that shows the streams of the node, and shows them in a terminal. With -for 1m a count lasts
// long enough to be looked at.
//
// The exit code is 1 when something fails, and 2 when the arguments make no sense.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/minogrpc/session/examples/internal/screen"
)

const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)

	// The second signal ends a process that does not get to its end.
	context.AfterFunc(ctx, stop)

	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)

	stop()
	os.Exit(code)
}

// command runs the program until it is done, or the context is, and returns its exit
// code.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	run := parseNode

	if len(args) > 0 {
		switch args[0] {
		case "count":
			run, args = parseCount, args[1:]
		case "top":
			run, args = parseTop, args[1:]
		}
	}

	start, err := run(args, stdout, stderr)

	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}

	err = start(ctx)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "node:", screen.Printable(err.Error()))

		return exitFailure
	}

	return 0
}
