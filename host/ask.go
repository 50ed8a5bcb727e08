package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/metadata"
)

// maxAsked is how many players Ask asks at once.
const maxAsked = 64

// Asker asks one player a question and returns the answer. The context has the metadata of the
// call. It ends with that of the caller, and with the cause [ErrStopped] when a stop of the host does not
// wait any longer. An error after that which does not wrap the error of the context becomes that of [EndOf].
type Asker func(ctx context.Context, to mino.Address) (serde.Message, error)

// Ask is Call of [mino.RPC] for an overlay that brings along how one player is asked. It asks up
// to 64 players at once. The error, or the panic, of one is a response with an error. The
// channel is closed after the last response, soon after the context is done. A stop of the host waits
// for the responses as long as it may, and then ends the questions. Ask returns an error without a
// context or players, and when one of them panics.
func (p *Procedure) Ask(ctx context.Context, players mino.Players, ask Asker) (<-chan mino.Response, error) {
	var addrs []mino.Address

	// Both are code of the caller.
	err := p.host.contain(p.info(), func() (err error) {
		if err = contain.Context(ctx); err == nil {
			addrs, err = addressesOf(players)
		}

		return err
	})
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}

	out := make(chan mino.Response, len(addrs))

	if !p.host.Go(Task{Name: "call", Procedure: p.uri}, func() { p.askAll(ctx, addrs, ask, out) }) {
		return nil, ErrStopped
	}

	return out, nil
}

// askAll asks the players and closes the channel, which has room for all of them.
func (p *Procedure) askAll(ctx context.Context, addrs []mino.Address, ask Asker, out chan<- mino.Response) {
	defer close(out)

	ctx = metadata.NewOutgoingContext(ctx, metadata.Pairs(session.URIKey, p.uri))

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	stop := context.AfterFunc(p.host.life.hurried, func() { cancel(ErrStopped) })
	defer stop()

	var group errgroup.Group

	group.SetLimit(maxAsked)

	for _, addr := range addrs {
		group.Go(func() error {
			out <- p.response(ctx, addr, ask)

			return nil
		})
	}

	_ = group.Wait() // The errors are in the responses.
}

// response asks one player. Nobody else recovers this goroutine: a panic is an error of that
// player.
func (p *Procedure) response(ctx context.Context, addr mino.Address, ask Asker) mino.Response {
	var answer serde.Message

	err := p.host.contain(p.info(), func() (err error) {
		answer, err = ask(ctx, addr)

		return err
	})
	if end := ctx.Err(); err != nil && end != nil && !errors.Is(err, end) {
		// What ends with its context ends for the reason of that, which an error of gRPC does not say.
		err = EndOf(ctx, err)
	}

	if err != nil {
		return mino.NewResponseWithError(addr, err)
	}

	return mino.NewResponse(addr, answer)
}

// addressesOf returns the addresses of the players.
func addressesOf(players mino.Players) ([]mino.Address, error) {
	if players == nil {
		return nil, errNoPlayers
	}

	addrs := make([]mino.Address, 0, players.Len())
	for it := players.AddressIterator(); it.HasNext(); {
		addrs = append(addrs, it.GetNext())
	}

	return addrs, nil
}
