// Command nats compares un-awaited messages of one sender with NATS: what a user may choose who needs no
// outcomes. It is a module of its own, because the library must not depend on a server of NATS.
//
//	go run . -only '64 B'
//
// Both run in this process, over the loopback interface. A message over a link goes from one node to its
// neighbour; one of NATS goes from a client to the server, and from there to another client.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/minogrpc/session/internal/bench/paired"
	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	only := flag.String("only", ".", "measure only what matches the `regexp`, in any case of letters")
	rounds := flag.Int("rounds", 15, "how many rounds each figure is the median of")
	flag.Parse()

	plan := paired.Plan{Rounds: *rounds, Slice: 30 * time.Millisecond}
	if err := run(os.Stdout, plan, *only); err != nil {
		fmt.Fprintln(os.Stderr, "nats:", err)
		os.Exit(1)
	}
}

// run prints a row for each size of messages, if it matches.
func run(out io.Writer, plan paired.Plan, only string) error {
	pattern, err := regexp.Compile("(?i)" + only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}

	head := fmt.Sprintf("\n| what (NATS %s) | duplex |\n|---|---|\n", server.VERSION)

	for _, size := range []struct {
		text  string
		bytes int
	}{{"64 B", 64}, {"1 KiB", 1 << 10}} {
		what := fmt.Sprintf("un-awaited, one sender, %s, plain, vs NATS", size.text)
		if !pattern.MatchString(what) {
			continue
		}

		ratio, err := measure(plan, size.bytes)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}

		if _, err := fmt.Fprintf(out, "%s| %s | %s |\n", head, what, ratio.Text(paired.Ratio)); err != nil {
			return err
		}

		head = ""
	}

	return nil
}

// measure returns how many times as long as with NATS a message takes us.
func measure(plan paired.Plan, size int) (ratio paired.Series, err error) {
	msg := make([]byte, size)
	for i := range msg {
		msg[i] = byte(i * 31)
	}

	b, err := newBroker(msg)
	if err != nil {
		return nil, err
	}

	defer b.close()

	l, err := newLink(msg)
	if err != nil {
		return nil, err
	}

	defer func() { err = errors.Join(err, l.close()) }()

	times, err := plan.Compare(
		paired.Side{Name: "raw", Run: b.pour},
		paired.Side{Name: "ours", Run: l.pour},
	)
	if err != nil {
		return nil, err
	}

	return times[1].Over(times[0]), nil
}
