// Command tree starts fifteen nodes with TLS in one process and lets them count
// the words of a folder.
//
// An orchestrator opens a stream to all of them, which grows into a tree, and
// broadcasts the list of the files. Every node counts the words in its share and
// replies; the orchestrator adds up and compares the sum with its own count. Then a
// node in the middle of the tree is stopped, and it is done again in the same stream
// with those that are left: the outcome of the message to the stopped node says that
// its share is missing, and the others take it over.
//
// On a terminal the tree is drawn as it changes, slowly enough to follow. A window is taken
// to have 80 columns and 24 lines unless COLUMNS and LINES say something else, and no colours
// if NO_COLOR is set. Elsewhere, and on a dumb terminal, there are lines, and no waiting.
//
// The exit code is 1 when a sum is wrong, when an outcome is not what the library promises, or
// when anything else fails; 2 when the arguments make no sense; and 130 after an interrupt.
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
)

const (
	exitFailure   = 1
	exitUsage     = 2
	exitInterrupt = 130
)

func main() {
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// command runs the program and returns its exit code.
func command(args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stdout, stderr)

	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	}

	return runUntilInterrupt(stdout, stderr, opts)
}

// runUntilInterrupt runs the program, whose terminal is as it was when somebody has had enough.
func runUntilInterrupt(stdout, stderr io.Writer, opts options) int {
	interrupted, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()

	// Another interrupt does not wait.
	defer context.AfterFunc(interrupted, restore)()

	ctx, cancel := context.WithTimeout(interrupted, opts.timeout+opts.pauses())
	defer cancel()

	err := run(ctx, stdout, opts)

	switch {
	case err != nil && interrupted.Err() != nil:
		_, _ = fmt.Fprintln(stderr, "tree: interrupted")

		return exitInterrupt
	case err != nil:
		_, _ = fmt.Fprintln(stderr, "tree:", err)

		return exitFailure
	default:
		return 0
	}
}
