package minogrpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
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
	*host.Procedure

	node *Minogrpc
}

// WithProtocol returns a context for [mino.RPC] Stream that gives the stream a tag,
// which all nodes of it see in the metadata and may use for tracing. It must be
// printable ASCII.
func WithProtocol(ctx context.Context, tag string) context.Context {
	return host.WithProtocol(ctx, tag)
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
		if err = contain.Context(ctx, nil); err != nil {
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

	task := host.Task{Name: "call", Procedure: p.URI()}
	if !p.node.host.Go(task, func() { p.callAll(ctx, msg, addrs, out) }) {
		return nil, host.ErrStopped
	}

	return out, nil
}

// callAll asks the players and closes the channel, which has room for all of them.
func (p *procedure) callAll(ctx context.Context, msg *ptypes.Message, addrs []mino.Address, out chan<- mino.Response) {
	defer close(out)

	ctx = metadata.NewOutgoingContext(ctx, metadata.Pairs(session.URIKey, p.URI()))

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	stop := context.AfterFunc(p.node.host.Hurried(), func() { cancel(host.ErrStopped) })
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
	peer, err := host.PeerOf(addr)
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}

	conn, err := p.node.conns.Acquire(peer)
	if err != nil {
		return nil, err
	}

	defer p.node.conns.Release(peer)

	reply, err := ptypes.NewOverlayClient(conn).Call(ctx, msg)
	if err != nil {
		return nil, fmt.Errorf("call %v: %w", peer, err)
	}

	if err = p.node.checkSize(reply.GetPayload()); err != nil {
		return nil, fmt.Errorf("answer of %v: %w", peer, err)
	}

	answer, err := p.Decode(reply.GetPayload())
	if err != nil {
		return nil, fmt.Errorf("answer of %v: %w", peer, err)
	}

	return answer, nil
}

// addressesOf returns the addresses of the players.
func addressesOf(players mino.Players) []mino.Address {
	addrs := make([]mino.Address, 0, players.Len())
	for it := players.AddressIterator(); it.HasNext(); {
		addrs = append(addrs, it.GetNext())
	}

	return addrs
}
