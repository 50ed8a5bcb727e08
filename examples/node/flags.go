package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"path/filepath"
	"time"

	"github.com/minogrpc/session"
)

var (
	errNoData    = errors.New("-data is missing: the folder of the node")
	errArguments = errors.New("too many arguments, see -h")
	errNoJoin    = errors.New("-token and -digest are those of the node to join at: -join is missing")
	errTop       = errors.New("-every is longer than zero, and -times not below it")
	errNoURL     = errors.New("an address is like grpcs://host:port")
)

// nodeFlags are what a node is told.
type nodeFlags struct {
	data   string
	listen string
	serve  string

	join   string
	token  string
	digest string

	uses    int
	expires time.Duration

	debug string
}

// parseNode returns what runs a node. The error has been printed.
func parseNode(args []string, stdout, stderr io.Writer) (func(context.Context) error, error) {
	var f nodeFlags

	flags := newFlags("node", stderr, &f.data)
	flags.StringVar(&f.listen, "listen", "", "the `address` of the node; with port 0 it is a free one, and that one "+
		"again the next time (default where it was before, or 127.0.0.1:0)")
	flags.StringVar(&f.serve, "serve", ".", "the `folder` whose files the other nodes may have counted here")
	flags.StringVar(&f.join, "join", "", "the `address` of a node whose network is joined")
	flags.StringVar(&f.token, "token", "", "the `token` of that node")
	flags.StringVar(&f.digest, "digest", "", "the digest of the certificate of that node, in `hex`")
	flags.IntVar(&f.uses, "uses", 64, "how many nodes may join with the token that is printed")
	flags.DurationVar(&f.expires, "expires", time.Hour, "how `long` they may do so")
	flags.StringVar(&f.debug, "debug", "", "the `address`, such as 127.0.0.1:6060, at which a browser, or node top, "+
		"sees what happens; whoever reaches it may read all (default nowhere)")

	var opts nodeOptions

	err := parse(flags, args, 0, func() (err error) {
		opts, err = f.options()

		return err
	})

	return func(ctx context.Context) error { return runNode(ctx, stdout, stderr, opts) }, err
}

// options returns what the flags say.
func (f nodeFlags) options() (opts nodeOptions, err error) {
	opts = nodeOptions{data: f.data, token: f.token, uses: f.uses, expires: f.expires, debug: f.debug}

	opts.serve, err = filepath.Abs(f.serve)
	if err != nil {
		return opts, fmt.Errorf("-serve: %w", err)
	}

	if f.listen != "" {
		opts.listen, err = netip.ParseAddrPort(f.listen)
	}

	if err != nil {
		return opts, fmt.Errorf("-listen: %w", err)
	}

	// The address is the one under which the others call.
	if opts.listen.IsValid() && opts.listen.Addr().IsUnspecified() {
		return opts, fmt.Errorf("-listen: nobody can call %v: give an address of this machine", opts.listen.Addr())
	}

	if f.join == "" {
		if f.token != "" || f.digest != "" {
			return opts, errNoJoin
		}

		return opts, nil
	}

	opts.join, err = parsePeer(f.join)
	if err != nil {
		return opts, fmt.Errorf("-join: %w", err)
	}

	opts.digest, err = parseDigest(f.digest)
	if err != nil {
		return opts, fmt.Errorf("-digest: %w", err)
	}

	return opts, nil
}

// parsePeer reads the address of another node, as that one prints it.
func parsePeer(text string) (*url.URL, error) {
	peer, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoURL, err)
	}

	if peer.Scheme != "grpcs" {
		return nil, fmt.Errorf("%w, and not %s", errNoURL, text)
	}

	_, err = session.NewAddressFromURL(*peer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoURL, err)
	}

	return peer, nil
}

// parseDigest reads the digest of a certificate. None is nil.
func parseDigest(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}

	digest, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}

	if len(digest) != sha256.Size {
		return nil, fmt.Errorf("it has %d hexadecimal digits, and must have %d", len(text), 2*sha256.Size)
	}

	return digest, nil
}

// parseCount returns what has a node count. The error has been printed.
func parseCount(args []string, stdout, stderr io.Writer) (func(context.Context) error, error) {
	var opts countOptions

	flags := newFlags("node count", stderr, &opts.data)
	flags.DurationVar(&opts.timeout, "timeout", time.Minute, "how `long` it may take")
	flags.DurationVar(&opts.again, "for", 0, "how `long` the nodes count again, each second and in the same stream "+
		"(default once); it shows on the page of -debug")

	err := parse(flags, args, 1, func() error { return nil })

	opts.dir = flags.Arg(0)
	if opts.dir == "" {
		opts.dir = "."
	}

	return func(ctx context.Context) error { return count(ctx, stdout, opts) }, err
}

// parseTop returns what shows a node. The error has been printed.
func parseTop(args []string, stdout, stderr io.Writer) (func(context.Context) error, error) {
	var opts topOptions

	flags := flag.NewFlagSet("node top", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.debug, "debug", "127.0.0.1:6060", "the `address` of the -debug of the node")
	flags.DurationVar(&opts.every, "every", time.Second, "how `long` from one table to the next")
	flags.IntVar(&opts.times, "times", 0, "how `often` the table is printed (default until it is stopped)")

	err := check(flags, flags.Parse(args), 0, func() error {
		if opts.every <= 0 || opts.times < 0 {
			return errTop
		}

		return nil
	})

	return func(ctx context.Context) error { return top(ctx, stdout, opts) }, err
}

// newFlags returns the flags that there are with every command.
func newFlags(name string, stderr io.Writer, data *string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(data, "data", "", "the `folder` of the node: its key, its address, the certificates that it knows")

	return flags
}

// parse reads the flags and up to so many arguments, checks them, and prints what is
// wrong.
func parse(flags *flag.FlagSet, args []string, most int, sense func() error) error {
	return check(flags, flags.Parse(args), most, func() error {
		if flags.Lookup("data").Value.String() == "" {
			return errNoData
		}

		return sense()
	})
}

// check checks flags that have been read, with that error, and prints what is wrong.
func check(flags *flag.FlagSet, err error, most int, sense func() error) error {
	if err != nil {
		return err // it has been printed
	}

	err = errArguments
	if flags.NArg() <= most {
		err = sense()
	}

	if err != nil {
		_, _ = fmt.Fprintf(flags.Output(), "%s: %v\n", flags.Name(), err)
	}

	return err
}
