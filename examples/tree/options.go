package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/minogrpc/session/examples/internal/words"
)

const (
	// defaultNodes are enough for a tree that has a middle. Every node knows the certificates of all others, so that
	// maxNodes take some seconds to start.
	defaultNodes = 15
	minNodes     = 2
	maxNodes     = 100

	// watchable is how long the nodes count when somebody watches, and maxSlow how long anybody would.
	watchable = 3 * time.Second
	maxSlow   = time.Hour
)

// options are what the program is told.
type options struct {
	dir string

	// counts is what the nodes count with.
	counts words.Counter

	// picture is where a timeline goes. It is empty if nobody wants one.
	picture string

	// nodes is the number of nodes, and kill the index of the one that is stopped. The index of the root stands for
	// the one in the middle of the tree.
	nodes, kill int

	// slow is how long the nodes count.
	slow time.Duration

	// live tells that there is a terminal for frames.
	live bool

	timeout time.Duration
}

// parse returns the options that the arguments stand for. It has explained an error already.
func parse(args []string, stdout, stderr io.Writer) (options, error) {
	opts := options{counts: words.Count, live: screen.IsTerminal(stdout)}
	if opts.live {
		opts.slow = watchable
	}

	flags := flag.NewFlagSet("tree", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.dir, "dir", ".", "the `folder` whose words are counted, without its hidden and binary files")
	flags.StringVar(&opts.picture, "picture", "", "the `file` for a timeline of who sent what to whom, as SVG")
	flags.IntVar(&opts.nodes, "nodes", defaultNodes, "the `number` of nodes")
	flags.DurationVar(&opts.slow, "slow", opts.slow,
		"how `long` the nodes take to count, so that it can be watched; 3s on a terminal, and else what they need")
	flags.DurationVar(&opts.timeout, "timeout", time.Minute,
		"how `long` everything may take besides what -slow asks for")
	kill := flags.String("kill", "",
		"the `number` of the node that is stopped; without it one in the middle of the tree")

	err := flags.Parse(args)
	if err != nil {
		return opts, err
	}

	if flags.NArg() > 0 {
		err = errors.New("there are no arguments besides the flags")
	} else {
		err = opts.check(*kill)
	}

	if err != nil {
		_, _ = fmt.Fprintf(stderr, "tree: %v, see -h\n", err)
	}

	return opts, err
}

// check returns an error if the options make no sense.
func (o *options) check(kill string) error {
	switch {
	case o.nodes < minNodes || o.nodes > maxNodes:
		return fmt.Errorf("-nodes %d: there can be %d to %d nodes, and one of them is stopped",
			o.nodes, minNodes, maxNodes)
	case o.slow < 0 || o.slow > maxSlow:
		return fmt.Errorf("-slow %v: the nodes can count for 0s to %v", o.slow, maxSlow)
	case o.timeout <= 0:
		return fmt.Errorf("-timeout %v: nothing can be done in that time", o.timeout)
	case kill == "":
		return nil
	case kill == "root" || kill == "orchestrator":
		kill = strconv.Itoa(root + 1)
	}

	number, err := strconv.Atoi(kill)

	switch {
	case err != nil:
		return fmt.Errorf("-kill %q: this is not the number of a node; they are 2 to %d", kill, o.nodes)
	case number == root+1:
		return fmt.Errorf("-kill %d: node %d is the root, and the orchestrator too; the stream ends with it",
			number, number)
	case number < 1 || number > o.nodes:
		return fmt.Errorf("-kill %d: there is no such node; they are 2 to %d", number, o.nodes)
	}

	o.kill = number - 1

	return nil
}

// pauses is at most how long the program waits for people.
func (o *options) pauses() time.Duration { return 8 * o.slow }
