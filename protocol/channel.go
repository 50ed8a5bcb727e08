package protocol

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/minogrpc/session/mino"
)

// channel is the part of one node in a stream: a Stream without its types.
type channel struct {
	config

	out    mino.Sender
	window window
	queue  queue

	// ctx is done when the stream has ended, or the play of this player has returned. Then pump ends, and
	// closes done.
	ctx  context.Context
	done chan struct{}
	// quit is closed when nobody wants anything from the stream any more.
	quit <-chan struct{}

	mu         sync.Mutex
	lastID     uint64
	gatherings map[uint64]*gathering
	// gone are the players that have finished or failed, and news says how.
	gone roster
	news []mino.Event
	// end is why the stream has ended, as the results of the players that have not answered.
	end *PlayerError
}

// newChannel returns the part of this node in a stream. The caller runs pump.
func newChannel(ctx context.Context, c config, out mino.Sender, quit <-chan struct{}) *channel {
	return &channel{
		config:     c,
		out:        out,
		window:     window{limit: c.window, under: make(map[string]int)},
		ctx:        ctx,
		done:       make(chan struct{}),
		quit:       quit,
		gatherings: make(map[uint64]*gathering),
		gone:       newRoster(),
	}
}

// pump receives until the stream ends or nobody wants anything from it, and returns why: io.EOF for a clean
// end.
func (c *channel) pump(in mino.Receiver) error {
	defer close(c.done)

	for {
		// A receiver prefers a message to the context, and a player may send messages without end.
		if isClosed(c.quit) {
			return c.finish(nil)
		}

		event, err := receive(c.ctx, in)
		if err != nil {
			return c.finish(err)
		}

		if event.State != mino.PlayerUnknown {
			c.heard(event)

			continue
		}

		e, _ := event.Message.(envelope) // Anything else is an envelope of no kind.

		if e.kind == kindRequest {
			c.asked(event.From, e)
		} else {
			c.answered(event.From, e)
		}
	}
}

// receive returns the next message or news.
func receive(ctx context.Context, in mino.Receiver) (mino.Event, error) {
	if watcher, ok := in.(mino.Watcher); ok {
		return watcher.RecvEvent(ctx)
	}

	from, msg, err := in.Recv(ctx)

	return mino.Event{From: from, Message: msg}, err
}

// finish ends what waits for something from the stream.
func (c *channel) finish(err error) error {
	reason := ReasonEnded

	switch {
	case isClosed(c.quit):
		// The context of a play that has returned is done a moment later.
		<-c.ctx.Done()

		reason, err = ReasonLate, context.Cause(c.ctx)
	case errors.Is(err, io.EOF), errors.Is(context.Cause(c.ctx), io.EOF):
		err = io.EOF
	}

	c.mu.Lock()
	c.end = &PlayerError{Reason: reason, Cause: err}

	for _, g := range c.gatherings {
		g.settleAllLocked(c.end)
	}
	c.mu.Unlock()

	c.queue.change(func() { c.queue.ended = err })

	return err
}

// asked takes a request of another node. One that has no room is refused, because its sender waits.
func (c *channel) asked(from mino.Address, e envelope) {
	if !c.queue.push(request{e, from}, c.quit) && e.id != 0 {
		c.refuse(from, e.id, errors.New("too many requests are waiting"))
	}
}

// refuse tells the sender of a request that there will be no answer. What becomes of that is up to the sender, too.
func (c *channel) refuse(to mino.Address, id uint64, err error) {
	c.out.Send(textEnvelope(kindRefusal, id, err), to)
}

// send waits for room and sends. It then tells the outcome of every destination, once each, from a goroutine
// that ends with the stream.
func (c *channel) send(ctx context.Context, e envelope, to roster, tell func(mino.Address, error)) error {
	if err := c.window.enter(ctx, to.keys); err != nil {
		return err
	}

	outcomes := mino.Outcomes(c.ctx, mino.InContext(ctx, c.out), e, to.addrs...)

	go func() {
		for addr, err := range outcomes {
			c.window.leave(keyOf(addr))
			tell(addr, err)
		}
	}()

	return nil
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
