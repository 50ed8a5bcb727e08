package protocol

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"github.com/minogrpc/session/mino"
)

// Stream is the part of one node in a stream: that of a player, or that of the orchestrator from
// [Procedure.Open]. Its methods may be called from several goroutines at once.
//
// Everybody may ask everybody: the players that the orchestrator has named may ask one another. Messages from one
// node to another arrive in the order of the calls, as [mino] says.
type Stream[Req, Resp any] struct {
	*channel
}

// Result is what a gathering has got from one player.
type Result[Resp any] struct {
	// From is the caller's own address of the player.
	From mino.Address
	// Value is the answer. It is the zero value if Err is not nil.
	Value Resp
	// Err is nil, or a [*PlayerError] that says why there is no answer.
	Err error
	// Latency is the time from the beginning of the gathering to this result.
	Latency time.Duration
	// Left is how many results of the gathering are still to come after this one.
	Left int
}

// Send sends a request that wants no answer. It waits until there is room for it at all destinations, or
// the context is done. The channel then is as that of [mino.Sender]: it carries a [*PlayerError] for each
// destination that is not reached, and is closed when all outcomes are known. The caller need not read it.
func (s *Stream[Req, Resp]) Send(ctx context.Context, req Req, to ...mino.Address) <-chan error {
	dests := newRoster(to...)
	errs := make(chan error, len(dests.addrs))

	var settled atomic.Int64

	tell := func(addr mino.Address, reason Reason, err error) {
		if err != nil {
			errs <- &PlayerError{addr, reason, err}
		}

		if int(settled.Add(1)) == len(dests.addrs) {
			close(errs)
		}
	}

	fail := func(reason Reason, err error) <-chan error {
		for _, addr := range dests.addrs {
			tell(addr, reason, err)
		}

		return errs
	}

	if len(dests.addrs) == 0 {
		close(errs)

		return errs
	}

	data, err := encode(s.codec, req)
	if err != nil {
		return fail(ReasonUndelivered, err)
	}

	err = s.send(ctx, envelope{kind: kindRequest, payload: data}, dests, func(addr mino.Address, err error) {
		reason := ReasonUndelivered
		if isInDoubt(err) || s.ctx.Err() != nil {
			reason = ReasonInDoubt
		}

		tell(addr, reason, err)
	})
	if err != nil {
		return fail(ReasonUndelivered, err)
	}

	return errs
}

// Gather is [Procedure.Gather] in this stream. Several gatherings may go on at once, and each has only the answers
// to its own request. Gather sends the request when the result is ranged over, after it has waited for room in the
// window. Break ends this gathering alone. Only an orchestrator has news of players.
func (s *Stream[Req, Resp]) Gather(
	ctx context.Context, req Req, players ...mino.Address,
) iter.Seq2[mino.Address, Result[Resp]] {
	return once(func(yield func(mino.Address, Result[Resp]) bool) {
		s.gather(ctx, req, newRoster(players...), yield)
	})
}

// gather yields one result of each player.
func (s *Stream[Req, Resp]) gather(
	ctx context.Context, req Req, players roster, yield func(mino.Address, Result[Resp]) bool,
) {
	g, asked := s.begin(players)
	defer s.stop(g)

	data, err := encode(s.codec, req)
	if err != nil {
		s.settleAll(g, &PlayerError{Reason: ReasonUndelivered, Cause: err})
	} else {
		s.ask(ctx, g, data, asked)
	}

	for i := range players.addrs {
		r := s.next(ctx, g)

		if !yield(r.player, read[Resp](s.codec, r, len(players.addrs)-1-i)) {
			return
		}
	}
}

// next returns the next result. When the context is done, all players have one.
func (c *channel) next(ctx context.Context, g *gathering) result {
	select {
	case r := <-g.results:
		return r
	default:
	}

	select {
	case r := <-g.results:
		return r
	case <-ctx.Done():
		c.settleAll(g, &PlayerError{Reason: ReasonLate, Cause: context.Cause(ctx)})

		return <-g.results
	}
}

// read decodes the answer.
func read[Resp any](codec Codec, r result, left int) Result[Resp] {
	res := Result[Resp]{From: r.player, Latency: r.latency, Left: left}

	if r.err != nil {
		res.Err = r.err

		return res
	}

	value, err := decode[Resp](codec, r.payload)
	if err != nil {
		res.Err = &PlayerError{r.player, ReasonBadAnswer, err}
	}

	res.Value = value

	return res
}

// once returns a sequence that can be ranged over once.
func once[K, V any](seq iter.Seq2[K, V]) iter.Seq2[K, V] {
	var used atomic.Bool

	return func(yield func(K, V) bool) {
		if used.Swap(true) {
			panic("protocol: a gathering can be ranged over once")
		}

		seq(yield)
	}
}
