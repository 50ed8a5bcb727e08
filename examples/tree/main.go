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
// The exit code is 1 when a sum is wrong or anything else fails, and 2 when the
// arguments make no sense.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/minogrpc/session/examples/internal/words"
)

const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
}

// command runs the program and returns its exit code.
func command(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("tree", flag.ContinueOnError)
	flags.SetOutput(stderr)

	dir := flags.String("dir", ".", "the `folder` whose words are counted, without its hidden and binary files")
	picture := flags.String("picture", "", "the `file` for a timeline of who sent what to whom, as SVG")
	timeout := flags.Duration("timeout", time.Minute, "how `long` everything may take")

	err := flags.Parse(args)

	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		_, _ = fmt.Fprintln(stderr, "tree takes no arguments, see -h")

		return exitUsage
	}

	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()

	err = run(ctx, stdout, options{dir: *dir, count: words.Count, picture: *picture})
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "tree:", err)

		return exitFailure
	}

	return 0
}
