package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/minogrpc/session/mino"
)

// In is a request that has come to a stream.
type In[Req, Resp any] struct {
	// From is the node that asks. It equals the address of that node, and is of another type; see
	// [mino.Receiver], also for how true it is.
	From mino.Address
	// Value is the request. It is never a nil pointer or a nil interface.
	Value Req

	channel *channel
	id      uint64
}

// Requests yields the requests that come to this node, in order. Several loops share them. It ends when the
// stream ends. If that is not a clean end, or the context is done, it first yields the cause. The only error after
// which the loop can go on is [ErrDropped].
//
// The node refuses a request that it cannot decode: the sender has [ReasonRefused], and the loop goes on.
// At most 1024 requests and 16 MiB wait for the loop. Past that the overlay's queue fills up, and its bounds hold.
// While this node gathers answers in the same stream, it refuses requests past that.
func (s *Stream[Req, Resp]) Requests(ctx context.Context) iter.Seq2[In[Req, Resp], error] {
	return func(yield func(In[Req, Resp], error) bool) {
		for {
			r, err := s.queue.take(ctx, s.ctx)

			switch {
			case errors.Is(err, ErrDropped):
				if !yield(In[Req, Resp]{}, err) {
					return
				}

				continue
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(In[Req, Resp]{}, fmt.Errorf("requests: %w", err))

				return
			}

			value, err := decode[Req](s.codec, r.payload)
			if err != nil {
				s.refuseRequest(r, err)
			} else if !yield(In[Req, Resp]{From: r.from, Value: value, channel: s.channel, id: r.id}, nil) {
				return
			}
		}
	}
}

// Reply answers the request. It waits for room in the window or for the context, not until the answer
// has arrived: the asker decides what a missing answer means. The first answer counts. Reply returns an error
// if the answer cannot be encoded, [ErrOneWay] if nobody waits for one, or the cause of the context.
func (in In[Req, Resp]) Reply(ctx context.Context, resp Resp) error {
	data, err := encode(in.channel.codec, resp)
	if err != nil {
		return err
	}

	return in.answer(ctx, envelope{kind: kindAnswer, id: in.id, payload: data})
}

// Fail is Reply with an error in place of an answer. The asker has [ReasonFailed] with at most 1 KiB of its text.
// The error must not be nil.
func (in In[Req, Resp]) Fail(ctx context.Context, err error) error {
	return in.answer(ctx, textEnvelope(kindFailure, in.id, err))
}

// answer sends what comes in answer to the request.
func (in In[Req, Resp]) answer(ctx context.Context, e envelope) error {
	if in.id == 0 {
		return ErrOneWay
	}

	return in.channel.send(ctx, e, newRoster(in.From), func(mino.Address, error) {})
}

// refuseRequest refuses a request that cannot be decoded.
func (c *channel) refuseRequest(r request, err error) {
	if r.id != 0 {
		c.refuse(r.from, r.id, err)
	}
}
