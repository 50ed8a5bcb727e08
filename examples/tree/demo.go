package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/minogrpc/session/examples/internal/words"
	"github.com/minogrpc/session/mino"
)

// options are what the program is told.
type options struct {
	dir string

	// count is what the nodes count with.
	count words.Counter

	// picture is where a timeline goes. It is empty if nobody wants one.
	picture string
}

// demo is everything but the stream.
type demo struct {
	screen *screen.Screen
	ways   *ways
	nodes  []*node
	dir    string
	files  []string

	// players are the addresses of the nodes.
	players []mino.Address
}

// run starts the nodes, has the words counted twice, and stops the nodes. It
// returns an error when a sum is wrong, or when it cannot go on.
func run(ctx context.Context, out io.Writer, opts options) (err error) {
	d := &demo{screen: screen.New(out), ways: newWays(), dir: opts.dir}

	d.files, err = words.List(os.DirFS(opts.dir))
	if err != nil {
		return err
	}

	d.nodes, err = startNodes(d.ways, opts.count)

	defer func() { err = errors.Join(err, stopNodes(d.nodes), d.screen.Err(), d.ways.draw(opts.picture)) }()

	if err != nil {
		return err
	}

	d.players = addressesOf(d.nodes)
	d.screen.Printf("%d nodes are up, and each has been given the certificates of the others.\n", len(d.nodes))

	return d.countTwice(ctx)
}

// countTwice counts, stops a node in the middle of the tree, and counts again in the
// same stream: those that hung on it are adopted by the node above.
func (d *demo) countTwice(ctx context.Context) error {
	// The end of the context is the end of the stream.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	out, in, err := d.nodes[0].rpc.Stream(ctx, mino.NewAddresses(d.players...))
	if err != nil {
		return err
	}

	o := &words.Orchestrator{Dir: d.dir, Files: d.files, Out: out, In: in, Watcher: d}

	err = d.count(ctx, o)
	if err != nil {
		return fmt.Errorf("first count: %w", err)
	}

	lost := d.ways.middle(d.nodes)
	if lost == nil {
		return errors.New("the tree has no node in the middle")
	}

	err = lost.Stop()
	if err != nil {
		return fmt.Errorf("stop %s: %w", lost.name, err)
	}

	d.screen.Printf("%s is stopped, and all are asked again.\n", lost.name)

	err = d.count(ctx, o)
	if err != nil {
		return fmt.Errorf("second count: %w", err)
	}

	return nil
}

// count has the words of all the files counted.
func (d *demo) count(ctx context.Context, o *words.Orchestrator) error {
	sum, err := o.Count(ctx, d.players)
	if err != nil {
		return err
	}

	d.screen.Printf("The replies add up to %d words, and so does the orchestrator's own count.\n\n", sum)

	return nil
}
