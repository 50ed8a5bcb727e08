package minogrpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/serde"
)

// procedure implements mino.RPC.
type procedure struct {
	*host.Procedure

	node *Minogrpc
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

	var msg *ptypes.Message

	err := p.node.contain(func() (err error) {
		msg, err = p.node.message(req)

		return err
	})
	if err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}

	return p.Ask(ctx, players, func(ctx context.Context, addr mino.Address) (serde.Message, error) {
		return p.call(ctx, msg, addr)
	})
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

	if err = p.node.ready(ctx, conn); err != nil {
		return nil, fmt.Errorf("call %v: %w", peer, host.EndOf(ctx, err))
	}

	reply, err := ptypes.NewOverlayClient(conn).Call(ctx, msg)
	if err != nil {
		return nil, fmt.Errorf("call %v: %w", peer, host.EndOf(ctx, err))
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
