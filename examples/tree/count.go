package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
)

// errSum is the failure of the check.
var errSum = errors.New("the replies do not add up to the orchestrator's own count")

// failures are the outcomes of the nodes that a request has not reached.
type failures map[*node]*session.DeliveryError

// orchestrator has one stream to all the nodes, and asks in it until somebody has
// counted every file.
type orchestrator struct {
	*demo

	out mino.Sender
	in  mino.Receiver

	// round is the number of the last request, and sum what has been counted since the
	// files were last all to do.
	round, sum int
}

// open opens the stream. It ends with the context.
func (d *demo) open(ctx context.Context) (*orchestrator, error) {
	out, in, err := d.nodes[0].rpc.Stream(ctx, mino.NewAddresses(addressesOf(d.nodes)...))
	if err != nil {
		return nil, err
	}

	return &orchestrator{demo: d, out: out, in: in}, nil
}

// count has the files counted and checks the sum.
func (o *orchestrator) count(ctx context.Context) error {
	var err error

	files, players := o.files, o.nodes
	o.sum = 0

	for len(files) > 0 {
		files, players, err = o.ask(ctx, files, players)
		if err != nil {
			return err
		}
	}

	return o.check()
}

// ask sends a request to the players and collects the replies. It returns the files
// that nobody has counted, because the message did not reach their player, and the
// players that it did reach.
func (o *orchestrator) ask(ctx context.Context, files []string, players []*node) ([]string, []*node, error) {
	o.screen.printf("Asking %d nodes for their shares of %d files:\n", len(players), len(files))

	lost, err := o.send(ctx, files, players)
	if err != nil {
		return nil, nil, err
	}

	var missing []string

	var reached []*node

	for i, n := range players {
		if lost[n] == nil {
			reached = append(reached, n)
		} else {
			missing = append(missing, share(files, i, len(players))...)
		}
	}

	if len(reached) == 0 {
		return nil, nil, fmt.Errorf("nobody was reached: %w", lost[players[0]])
	}

	err = o.collect(ctx, len(reached))
	if err != nil {
		return nil, nil, err
	}

	o.screen.outcomes(o.nodes, o.ways, lost)

	return missing, reached, nil
}

// send sends a request to the players and waits for the outcomes: the channel has
// an error for each destination that is not reached, and is closed when the last
// outcome is known.
func (o *orchestrator) send(ctx context.Context, files []string, players []*node) (failures, error) {
	o.round++
	o.ways.begin(session.NewOrchestratorAddress(o.nodes[0].addr))

	req := &request{Round: o.round, Dir: o.dir, Files: files}
	for _, n := range players {
		req.Players = append(req.Players, n.text)
	}

	lost := make(failures)

	for err := range o.out.Send(message{Request: req}, addressesOf(players)...) {
		var failure *session.DeliveryError
		if !errors.As(err, &failure) {
			return nil, err
		}

		lost[find(players, failure.Destination)] = failure
	}

	// Outcomes that are due to the end of the stream say nothing about the nodes.
	if ctx.Err() != nil {
		return nil, fmt.Errorf("send the request: %w", ctx.Err())
	}

	return lost, nil
}

// collect adds up so many replies to the last request.
func (o *orchestrator) collect(ctx context.Context, all int) error {
	for done := 0; done < all; {
		from, msg, err := o.in.Recv(ctx)
		if err != nil {
			return fmt.Errorf("%d of %d replies have come: %w", done, all, err)
		}

		n := find(o.nodes, from)
		m, ok := msg.(message)

		switch {
		case n == nil || !ok || m.Reply == nil || m.Reply.Round != o.round:
			// A late reply to an earlier request: somebody else has counted that.
		case m.Reply.Error != "":
			return fmt.Errorf("%s could not count: %s", n.name, m.Reply.Error)
		default:
			done++
			o.sum += m.Reply.Words
			o.screen.progress(n, m.Reply, done, all, o.sum)
		}
	}

	return nil
}

// check compares the sum with what the orchestrator counts itself.
func (o *orchestrator) check() error {
	own, err := countAll(countWords, os.DirFS(o.dir), o.files)
	if err != nil {
		return err
	}

	if o.sum != own {
		return fmt.Errorf("%w: %d instead of %d", errSum, o.sum, own)
	}

	o.screen.printf("The replies add up to %d words, and so does the orchestrator's own count.\n\n", o.sum)

	return nil
}
