package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/minogrpc/session/examples/internal/words"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/minogrpc/session/minogrpc/tokens"
	"github.com/minogrpc/session/router/tree"
	"github.com/rs/zerolog"
)

var (
	errNoTokenAndDigest = errors.New("-join needs the -token and the -digest that the other node prints")
	errNoToken          = errors.New("-join needs the -token that the other node prints, beside its -digest")
	errNoDigest         = errors.New("-join needs the -digest that the other node prints, beside its -token")
)

// nodeOptions are what a node is told.
type nodeOptions struct {
	data string

	// serve is the folder that others may have counted.
	serve string

	// listen is the zero value for where the node was before.
	listen netip.AddrPort

	// join is the node through which this one joins, nil if it does not; token and
	// digest belong to it, and may be missing if that one is known.
	join   *url.URL
	token  string
	digest []byte

	// uses and expires bound the token for others.
	uses    int
	expires time.Duration

	// debug is where the debug page is, empty for nowhere.
	debug string
}

// node is one node, and what can be done with it.
type node struct {
	*minogrpc.Minogrpc

	screen *screen.Screen
	data   folder
	rpc    mino.RPC

	// mu guards what is learned.
	mu sync.Mutex
	// joined is false until it is clear that the node gets in, and early are those that it
	// has learned of before.
	joined bool
	early  []mino.Address
	// lost are the nodes that a stream has lost, until one reaches them again.
	lost map[string]bool
}

// runNode starts the node of the folder and runs it until the context is done.
func runNode(ctx context.Context, stdout, stderr io.Writer, opts nodeOptions) (err error) {
	data := folder(opts.data)

	err = data.create()
	if err != nil {
		return err
	}

	// It comes first: whoever holds the socket has the folder.
	control, err := listenIn(ctx, data)
	if err != nil {
		return err
	}

	defer func() { _ = control.Close() }() // it is closed already, if the node has run

	n := &node{screen: screen.New(stdout), data: data, lost: make(map[string]bool)}

	err = n.start(opts, stderr)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, n.GracefulStop(), n.screen.Err()) }()

	if opts.debug != "" {
		stop, err := n.serveDebug(ctx, opts.debug)
		if err != nil {
			return err
		}

		defer stop()
	}

	// Also a join that waits ends then.
	stop := context.AfterFunc(ctx, func() {
		n.screen.Printf("Stopping.\n")

		_ = n.GracefulStop() // it is waited for below
	})
	defer stop()

	return n.run(ctx, opts, control)
}

// start starts the node, under its own address and with its own key.
func (n *node) start(opts nodeOptions, stderr io.Writer) error {
	factory := minogrpc.NewAddressFactory()

	store, err := certs.NewDiskStore(n.data.certificates(), factory)
	if err != nil {
		return err
	}

	err = checkJoin(opts, store)
	if err != nil {
		return err
	}

	key, err := n.data.key()
	if err != nil {
		return err
	}

	listen, err := n.data.address(opts.listen)
	if err != nil {
		return err
	}

	n.Minogrpc, err = minogrpc.NewMinogrpc(
		minogrpc.ParseAddress(listen.Addr().String(), listen.Port()),
		nil,
		tree.NewRouter(factory),
		minogrpc.WithStorage(store),
		minogrpc.WithCertificateKey(key, nil),
		minogrpc.WithTokens(tokens.NewInMemoryHolder(tokens.WithUses(opts.uses))),
		minogrpc.WithLogger(newLogger(stderr)),
		minogrpc.WithInspection(), // The page of the root shows the whole tree.
		minogrpc.WithObserver(minogrpc.Observer{Learned: n.learned}),
		minogrpc.WithSessionOptions(session.WithObserver(session.Observer{
			LossKnown: n.lose, RelayOpened: n.find,
		})),
	)
	if err != nil {
		return fmt.Errorf("start the node: %w", err)
	}

	err = n.register(opts.serve)
	if err != nil {
		return errors.Join(err, n.Stop())
	}

	return nil
}

// checkJoin returns an error that says what is missing to join. Those who know each other
// need nothing.
func checkJoin(opts nodeOptions, store certs.Storage) error {
	if opts.join == nil {
		return nil
	}

	known, err := store.Load(session.NewAddress(opts.join.String()))
	if err != nil {
		return err
	}

	switch {
	case len(known) > 0:
		return nil
	case opts.token == "" && len(opts.digest) == 0:
		return errNoTokenAndDigest
	case opts.token == "":
		return errNoToken
	case len(opts.digest) == 0:
		return errNoDigest
	default:
		return nil
	}
}

// newLogger returns the logger of a node, which says which node is lost, what has been refused, and why.
func newLogger(stderr io.Writer) zerolog.Logger {
	console := zerolog.ConsoleWriter{Out: zerolog.SyncWriter(stderr), NoColor: true, TimeFormat: time.TimeOnly}

	return zerolog.New(console).Level(zerolog.WarnLevel).With().Timestamp().Logger()
}

// register makes the node a player of the count, and its address one that stays.
func (n *node) register(serve string) error {
	worker, err := words.NewWorker(n.GetAddress(), words.Count)
	if err != nil {
		return err
	}

	n.rpc, err = n.CreateRPC("words", worker.Serving(serve), words.Messages{})
	if err != nil {
		return fmt.Errorf("create the procedure: %w", err)
	}

	me, err := urlOf(n.GetAddress())
	if err != nil {
		return err
	}

	return n.data.keepAddress(me.Host)
}

// run joins, or asks the others what has been missed, and counts for whoever asks over
// the control socket.
func (n *node) run(ctx context.Context, opts nodeOptions, control *control) error {
	if opts.join != nil {
		err := n.Join(opts.join, opts.token, opts.digest)
		if err != nil {
			return err
		}
	}

	err := n.introduce(opts)
	if err != nil {
		return err
	}

	n.showLearned()

	var tasks sync.WaitGroup

	if opts.join == nil {
		tasks.Go(func() { n.catchUp(ctx) })
	}

	tasks.Go(func() { control.serve(ctx, n) })
	tasks.Wait()

	return nil
}
