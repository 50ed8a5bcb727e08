package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// options are what the program is told.
type options struct {
	dir string

	// words is what the nodes count with.
	words counter
}

// demo is everything but the stream.
type demo struct {
	screen *screen
	ways   *ways
	nodes  []*node
	dir    string
	files  []string
}

// run starts the nodes, has the words counted twice, and stops the nodes. It
// returns an error when a sum is wrong, or when it cannot go on.
func run(ctx context.Context, out io.Writer, opts options) (err error) {
	d := &demo{screen: newScreen(out), ways: new(ways), dir: opts.dir}

	d.files, err = listFiles(os.DirFS(opts.dir))
	if err != nil {
		return err
	}

	d.nodes, err = startNodes(d.ways, opts.words)

	defer func() { err = errors.Join(err, stopNodes(d.nodes), d.screen.err) }()

	if err != nil {
		return err
	}

	d.screen.printf("%d nodes are up, and each has been given the certificates of the others.\n", len(d.nodes))

	return d.countTwice(ctx)
}

// countTwice counts, stops a node in the middle of the tree, and counts again in the
// same stream: those that hung on it are adopted by the node above.
func (d *demo) countTwice(ctx context.Context) error {
	// The end of the context is the end of the stream.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	o, err := d.open(ctx)
	if err != nil {
		return err
	}

	err = o.count(ctx)
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

	d.screen.printf("%s is stopped, and all are asked again.\n", lost.name)

	err = o.count(ctx)
	if err != nil {
		return fmt.Errorf("second count: %w", err)
	}

	return nil
}
