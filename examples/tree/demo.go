package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/minogrpc/session/examples/internal/words"
	"github.com/minogrpc/session/mino"
)

// root is the index of the node that is the root and also the orchestrator. The stream ends with it.
const root = 0

// errPromise is what the library does not do.
var errPromise = errors.New("this is not what the library promises")

// demo is everything but the stream.
type demo struct {
	options

	stage *stage
	ways  *ways
	nodes []*node
	files []string

	// players are the addresses of the nodes.
	players []mino.Address

	// handlers is how many handlers each node has started.
	handlers []atomic.Int32

	// gone is the index of the node that has been stopped, and root before that. The root is never stopped.
	gone int

	// broken is what has not been as the library promises.
	broken error
}

// run starts the nodes, has the words counted twice, and stops the nodes. It
// returns an error when a promise is broken, or when it cannot go on.
func run(ctx context.Context, out io.Writer, opts options) error {
	return newDemo(opts).run(ctx, out)
}

func newDemo(opts options) *demo {
	d := &demo{options: opts, handlers: make([]atomic.Int32, opts.nodes)}
	d.ways = newWays(d.nameOf)

	return d
}

func (d *demo) run(ctx context.Context, out io.Writer) (err error) {
	d.files, err = words.List(os.DirFS(d.dir))
	if err != nil {
		return fmt.Errorf("-dir %s: %w", d.dir, err)
	}

	picture, err := d.ways.picture(d.picture)
	if err != nil {
		return err
	}

	d.stage = newStage(out, d.options)

	defer func() { err = errors.Join(err, d.stage.close(), d.ways.draw(picture)) }()

	d.nodes, err = d.startNodes(ctx)

	defer func() { err = errors.Join(err, stopNodes(d.nodes)) }()

	if err != nil {
		return err
	}

	d.players = addressesOf(d.nodes)
	d.stage.set(func(b *board) { b.begin(d.nodes, len(d.files)) })
	d.stage.say(ctx, screen.Count(len(d.nodes), "node")+
		" are up, and each has been given the certificates of the others.")

	return d.countTwice(ctx)
}

// nameOf returns the name of the node at an address, as a picture has it.
func (d *demo) nameOf(addr string) string {
	for _, n := range d.nodes {
		switch addr {
		case n.addr.String():
			return n.name
		case session.NewOrchestratorAddress(n.addr).String():
			return "orchestrator"
		}
	}

	return addr
}

// countTwice counts, stops a node in the middle of the tree, and counts again in the
// same stream: those that hung on it are adopted by the node above.
func (d *demo) countTwice(ctx context.Context) error {
	// The end of the context is the end of the stream.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	out, in, err := d.nodes[root].rpc.Stream(ctx, mino.NewAddresses(d.players...))
	if err != nil {
		return err
	}

	o := &words.Orchestrator{Dir: d.dir, Files: d.files, Out: out, In: in, Watcher: &watcher{demo: d, ctx: ctx}}

	err = d.count(ctx, o)
	if err != nil {
		return fmt.Errorf("first count: %w", err)
	}

	err = d.lose(ctx)
	if err != nil {
		return err
	}

	err = d.count(ctx, o)
	if err != nil {
		return fmt.Errorf("second count: %w", err)
	}

	return d.checkHandlers()
}

// checkHandlers returns an error if a node has begun the stream anew: with the loss of another node, its handler goes
// on.
func (d *demo) checkHandlers() error {
	var err error

	for i, n := range d.nodes {
		if started := d.handlers[i].Load(); started != 1 {
			err = errors.Join(err, fmt.Errorf("%s has started %d handlers: %w", n.name, started, errPromise))
		}
	}

	return err
}

// count has the words of all the files counted.
func (d *demo) count(ctx context.Context, o *words.Orchestrator) error {
	d.stage.set(func(b *board) { b.clear() })

	sum, err := o.Count(ctx, d.players)

	err = errors.Join(err, d.broken)
	if err != nil {
		return err
	}

	d.stage.say(ctx, fmt.Sprintf("The replies add up to %s, and so does the orchestrator's own count.\n",
		screen.Count(sum, "word")))

	return nil
}

// lose stops a node, and returns when the node above it has adopted those below it.
func (d *demo) lose(ctx context.Context) error {
	lost := d.kill
	if lost == root {
		lost = look(d.stage, (*board).middle)
	}

	above, below := look(d.stage, func(b *board) int { return b.players[lost].above }),
		look(d.stage, func(b *board) []int { return b.below(lost) })
	name := d.nodes[lost].name

	d.stage.set(func(b *board) { b.players[lost].state = leaving })
	d.stage.pause(ctx, "Now "+name+" is stopped.")

	err := d.nodes[lost].Stop()
	if err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}

	d.gone = lost
	d.stage.set(func(b *board) { b.stop(lost) })
	d.stage.pause(ctx, name+" is gone.")

	err = d.ways.await(ctx, func() bool { return d.noticed(lost, above, below) })
	if err != nil {
		return fmt.Errorf("wait until %s is missed: %w", name, err)
	}

	d.stage.set(func(b *board) { b.adopt(lost, above, below) })

	if len(below) == 0 {
		d.stage.say(ctx, name+" has been stopped. Nobody was below it.")
	} else {
		d.stage.say(ctx, fmt.Sprintf("%s has been stopped, and %s has adopted %s.", name, d.nodes[above].name,
			look(d.stage, func(b *board) string { return b.names(below) })))
	}

	return nil
}

// noticed tells whether the node above the lost one knows of the loss, and has adopted those below it.
func (d *demo) noticed(lost, above int, below []int) bool {
	for _, child := range d.nodes[above].inStream().Children {
		if child.Address == d.nodes[lost].addr.String() && child.State == session.NeighborOpen {
			return false
		}
	}

	for _, i := range below {
		if !d.nodes[i].hangsOn(d.nodes[above]) {
			return false
		}
	}

	return true
}
