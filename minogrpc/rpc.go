package minogrpc

import (
	"context"
	"errors"
	"fmt"

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
// not answer is a response with an error; the channel is closed after the last
// response, soon after the context is done or the node has been stopped. An empty
// answer is a nil message.
func (p *procedure) Call(ctx context.Context, req serde.Message, players mino.Players) (<-chan mino.Response, error) {
	if req == nil || players == nil {
		return nil, errors.New("a call needs a request and players")
	}

	var msg *ptypes.Message

	err := p.node.contain(func() (err error) {
		msg, err = p.node.message(req)

		return err
	})
	if err != nil {
		return nil, err
	}

	addrs := addressesOf(players)
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
			answer, err := p.call(ctx, msg, addr)
			if err != nil {
				out <- mino.NewResponseWithError(addr, err)
			} else {
				out <- mino.NewResponse(addr, answer)
			}

			return nil
		})
	}

	_ = group.Wait() // the errors are in the responses
}

// call asks one player.
func (p *procedure) call(ctx context.Context, msg *ptypes.Message, addr mino.Address,
) (answer serde.Message, err error) {
	peer, err := follower(addr)
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

	if len(reply.GetPayload()) == 0 {
		return nil, nil
	}

	err = p.node.contain(func() error {
		answer, err = p.endpoint.factory.Deserialize(p.node.context, reply.GetPayload())

		return err
	})
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
