package minogrpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/minogrpc/session/internal/contain"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/metadata"
)

// maxCalls is how many players a Call asks at once.
const maxCalls = 64

// procedure implements mino.RPC.
type procedure struct {
	node     *Minogrpc
	endpoint *endpoint
}

// Call implements mino.RPC. It asks up to 64 players at once. A player that does
// not answer, or whose address panics, is a response with an error. The channel is
// closed after the last response, soon after the context is done or the node has been
// stopped. The factory decodes an empty answer, such as that of a handler without one,
// like any other. Call returns an error without a context, a request or players, and when
// one of them panics.
func (p *procedure) Call(ctx context.Context, req serde.Message, players mino.Players) (<-chan mino.Response, error) {
	if req == nil || players == nil {
		return nil, errors.New("a call needs a request and players")
	}

	var (
		msg   *ptypes.Message
		addrs []mino.Address
	)

	err := p.node.contain(func() (err error) {
		if err = checkContext(ctx); err != nil {
			return err
		}

		addrs = addressesOf(players)
		msg, err = p.node.message(req)

		return err
	})
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}

	out := make(chan mino.Response, len(addrs))

	if !p.node.tasks.start(func() { p.callAll(ctx, msg, addrs, out) }) {
		return nil, errStopped
	}

	return out, nil
}

// callAll asks the players and closes the channel, which has room for all of them.
func (p *procedure) callAll(ctx context.Context, msg *ptypes.Message, addrs []mino.Address, out chan<- mino.Response) {
	defer close(out)

	ctx = metadata.NewOutgoingContext(ctx, metadata.Pairs(uriKey, p.endpoint.uri))

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	stop := context.AfterFunc(p.node.life.hurried, func() { cancel(errStopped) })
	defer stop()

	var group errgroup.Group

	group.SetLimit(maxCalls)

	for _, addr := range addrs {
		group.Go(func() error {
			out <- p.response(ctx, msg, addr)

			return nil
		})
	}

	_ = group.Wait() // the errors are in the responses
}

// response asks one player. The address and the factory are code of the caller, and
// nobody else recovers this goroutine: a panic is an error of that player.
func (p *procedure) response(ctx context.Context, msg *ptypes.Message, addr mino.Address) mino.Response {
	var answer serde.Message

	err := p.node.contain(func() (err error) {
		answer, err = p.call(ctx, msg, addr)

		return err
	})
	if err != nil {
		return mino.NewResponseWithError(addr, err)
	}

	return mino.NewResponse(addr, answer)
}

// call asks one player.
func (p *procedure) call(ctx context.Context, msg *ptypes.Message, addr mino.Address) (serde.Message, error) {
	peer, err := follower(addr)
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}

	conn, err := p.node.conns.Acquire(peer)
	if err != nil {
		return nil, err
	}

	defer p.node.conns.Release(peer)

	if err = p.node.ready(ctx, conn); err != nil {
		return nil, fmt.Errorf("call %v: %w", peer, err)
	}

	reply, err := ptypes.NewOverlayClient(conn).Call(ctx, msg)
	if err != nil {
		return nil, fmt.Errorf("call %v: %w", peer, err)
	}

	if err = p.node.checkSize(reply.GetPayload()); err != nil {
		return nil, fmt.Errorf("answer of %v: %w", peer, err)
	}

	answer, err := contain.Call(func() (serde.Message, error) {
		return p.endpoint.factory.Deserialize(p.node.context, reply.GetPayload())
	})
	if err != nil {
		return nil, fmt.Errorf("answer of %v: %w", peer, err)
	}

	return answer, nil
}

// checkContext calls what the library calls of a context, from goroutines that nobody
// recovers. A context that panics does so here, where the caller contains it.
func checkContext(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}

	_, _ = ctx.Deadline()
	_ = ctx.Value(protocolTag{})
	_, _ = ctx.Done(), ctx.Err()

	return nil
}

// addressesOf returns the addresses of the players.
func addressesOf(players mino.Players) []mino.Address {
	addrs := make([]mino.Address, 0, players.Len())
	for it := players.AddressIterator(); it.HasNext(); {
		addrs = append(addrs, it.GetNext())
	}

	return addrs
}
