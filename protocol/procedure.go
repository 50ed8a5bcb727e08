package protocol

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
)

// Play is what a player does in a stream. The context is done when the node's part in the stream has ended;
// [mino.InfoOf] says more about the stream if the overlay does. When play returns, the player is finished. If
// it returns an error, or panics, the player has failed and the orchestrator is told so. At the root that ends the
// stream. Play must return soon after [Stream.Requests] has ended.
type Play[Req, Resp any] func(ctx context.Context, s *Stream[Req, Resp]) error

// Procedure is a typed procedure of one node. Its methods may be called from several goroutines at once.
type Procedure[Req, Resp any] struct {
	config

	rpc mino.RPC
}

// Define registers the play of this node under the name, in the segment of the node, and returns the procedure
// with which this node calls it on others. All nodes must define it with the same types and codec. Define
// returns an error if the name is not valid or is taken; see [mino.Mino].
func Define[Req, Resp any](
	node mino.Mino, name string, play Play[Req, Resp], opts ...Option,
) (*Procedure[Req, Resp], error) {
	if play == nil {
		return nil, errors.New("a procedure needs a play")
	}

	c := config{codec: JSON{}, window: defaultWindow}
	for _, opt := range opts {
		opt.apply(&c)
	}

	rpc, err := node.CreateRPC(name, handler[Req, Resp]{config: c, play: play}, envelopes{})
	if err != nil {
		return nil, fmt.Errorf("define %q: %w", name, err)
	}

	return &Procedure[Req, Resp]{config: c, rpc: rpc}, nil
}

// Answer returns the play of a player that answers one request after the other. An error of f goes to the
// asker as a [ReasonFailed] and does not end the play. A panic of f does.
func Answer[Req, Resp any](f func(ctx context.Context, req Req) (Resp, error)) Play[Req, Resp] {
	return func(ctx context.Context, s *Stream[Req, Resp]) error {
		for in, err := range s.Requests(ctx) {
			if err != nil {
				return err
			}

			resp, err := f(ctx, in.Value)
			if err == nil {
				err = in.Reply(ctx, resp)
			}

			if err != nil && !errors.Is(err, ErrOneWay) {
				_ = in.Fail(ctx, err) // If it cannot be sent, the loop is about to end.
			}
		}

		return nil
	}
}

// Open opens a stream to the players, for several rounds. It lasts until the context is done, which
// the caller must see to. Open returns the error of the overlay, or those of all roots that it has tried; see
// [WithRootFallback]. A player that is named twice counts once.
func (p *Procedure[Req, Resp]) Open(ctx context.Context, players mino.Players) (*Stream[Req, Resp], error) {
	out, in, err := p.open(ctx, players)
	if err != nil {
		return nil, err
	}

	c := newChannel(ctx, p.config, out, ctx.Done())
	go func() { _ = c.pump(in) }()

	return &Stream[Req, Resp]{channel: c}, nil
}

// open tries the players as the root, as far as the options allow.
func (p *Procedure[Req, Resp]) open(ctx context.Context, players mino.Players) (mino.Sender, mino.Receiver, error) {
	ctx = mino.WithNews(ctx)
	out, in, err := p.rpc.Stream(ctx, players)
	others := rosterOf(players).addrs

	for i := 1; err != nil && i < len(others) && i <= p.fallbacks && ctx.Err() == nil; i++ {
		order := slices.Concat(others[i:i+1], others[:i], others[i+1:])

		var again error
		if out, in, again = p.rpc.Stream(ctx, mino.NewAddresses(order...)); again == nil {
			return out, in, nil
		}

		err = errors.Join(err, again)
	}

	return out, in, err
}

// Gather opens a stream to the players, asks all of them, and yields one [Result] of each as it comes, with the
// caller's own address of the player. It waits for no player that is known to be lost, to have failed or
// to have finished; an overlay without news of players (see [mino.Watcher]) knows that only of those
// to which the request was not delivered. When the context is done, all that have not answered are late.
//
// The stream is opened when the result is ranged over, and ends everywhere with the loop, also by break. The
// result can be ranged over once; a second time panics.
func (p *Procedure[Req, Resp]) Gather(
	ctx context.Context, req Req, players mino.Players,
) iter.Seq2[mino.Address, Result[Resp]] {
	return once(func(yield func(mino.Address, Result[Resp]) bool) {
		ctx, cancel := context.WithCancel(ctx)
		asked := rosterOf(players)

		s, err := p.Open(ctx, players)
		if err != nil {
			defer cancel()

			yieldAll(ctx, asked, fmt.Errorf("open: %w", err), yield)

			return
		}

		// Nothing of this package is left after the loop, whatever the caller does in it.
		defer func() { cancel(); <-s.done }()

		s.gather(ctx, req, asked, yield)
	})
}

// yieldAll yields for all players that the stream could not be opened.
func yieldAll[Resp any](ctx context.Context, players roster, err error, yield func(mino.Address, Result[Resp]) bool) {
	reason := ReasonUndelivered
	if ctx.Err() != nil {
		reason = ReasonLate
	}

	for i, addr := range players.addrs {
		r := Result[Resp]{From: addr, Err: &PlayerError{addr, reason, err}, Left: len(players.addrs) - 1 - i}
		if !yield(addr, r) {
			return
		}
	}
}

// handler implements mino.ContextHandler with a play.
type handler[Req, Resp any] struct {
	mino.UnsupportedHandler
	config

	play Play[Req, Resp]
}

// ProcessContext implements mino.ContextHandler. A procedure has no calls.
func (h handler[Req, Resp]) ProcessContext(_ context.Context, req mino.Request) (serde.Message, error) {
	return h.Process(req)
}

// Stream implements mino.Handler, for overlays that have no contexts.
func (h handler[Req, Resp]) Stream(out mino.Sender, in mino.Receiver) error {
	return h.StreamContext(context.Background(), out, in)
}

// StreamContext implements mino.ContextHandler. It leaves no goroutine behind when the play returns or panics.
func (h handler[Req, Resp]) StreamContext(ctx context.Context, out mino.Sender, in mino.Receiver) error {
	ctx, end := context.WithCancelCause(ctx)
	quit := make(chan struct{})
	c := newChannel(ctx, h.config, out, quit)

	defer func() {
		close(quit)
		end(errReturned)
		<-c.done
	}()

	go func() { end(c.pump(in)) }()

	return h.play(ctx, &Stream[Req, Resp]{channel: c})
}

// errReturned is the cause of a context whose play has returned.
var errReturned = errors.New("the play has returned")
