package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"golang.org/x/sync/errgroup"
)

const (
	// crowd is how many players send to the orchestrator at once, and burst how many messages
	// each of them sends.
	crowd, burst = 31, 1000

	// window is how many of its messages a player has under way, as in package protocol.
	window = 256
)

// measureCrowd has many players send to the orchestrator at once, with the default limits, and compares
// that with as many bare streams. Without a window they await no outcome before they have sent everything.
func measureCrowd(p plan, t *table) (err error) {
	const size = 1 << 10

	players := min(crowd, p.players)

	star, err := newStar(shape{players: players})
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, star.close()) }()

	c, err := newThrong(players, p.burst, size)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, c.close()) }()

	p.Rounds = p.some()

	times, err := p.Compare(
		side{Name: raw, Run: func(n int) error { return repeat(n, func() error { return star.pour(p.burst, c.msg) }) }},
		side{Name: ours, Run: func(n int) error { return repeat(n, func() error { return c.send(window) }) }},
	)
	if err != nil {
		return err
	}

	what := fmt.Sprintf("%d players send %d x 1 KiB to one, ", crowd, burst)
	t.ratio(what+"messages/s vs one-way streams, at least", goal{0.7, 1}, times[0].Over(times[1]))
	t.count(what+"% without overflow, at least", goal{100, 100}, series{c.passed()})

	c.sent, c.refused = 0, 0

	if err := repeat(p.few(), func() error { return c.send(p.burst) }); err != nil {
		return err
	}

	t.count(what+"no window, % without overflow", goal{}, series{c.passed()})

	return nil
}

// pour has all the streams of the star carry messages at once.
func (s star) pour(n int, msg []byte) error {
	var group errgroup.Group

	for _, b := range s {
		group.Go(func() error { return b.pour(n, msg) })
	}

	return group.Wait()
}

// throng is an overlay of players that all send to the orchestrator.
type throng struct {
	world *world
	seats *seats
	line  stream
	ends  []stream
	to    mino.Address
	msg   blob
	burst int

	// sent counts the messages and refused those that were too many, over all bursts.
	sent, refused int64
}

// newThrong opens a stream over a new overlay.
func newThrong(players, burst, size int) (*throng, error) {
	c := &throng{seats: newSeats(players), msg: payload(size), burst: burst}

	var err error

	c.world, err = newWorld(shape{mode: duplex, players: players, defaults: true, handler: c.seats.handler})
	if err != nil {
		return nil, err
	}

	if err := c.open(); err != nil {
		return nil, errors.Join(err, c.close())
	}

	return c, nil
}

func (c *throng) open() error {
	var err error

	c.line, err = c.world.broadcast(payload(1))
	if err != nil {
		return err
	}

	for i := range c.world.players {
		end := c.seats.take(i + 1)

		// The sender of the broadcast is the orchestrator.
		from, _, err := end.in.Recv(context.Background())
		if err != nil {
			return err
		}

		c.to, c.ends = from, append(c.ends, end)
	}

	return nil
}

// close ends the overlay.
func (c *throng) close() error {
	c.seats.leave()

	return c.world.close()
}

// passed returns how many messages in a hundred were not too many.
func (c *throng) passed() float64 {
	return 100 * float64(c.sent-c.refused) / float64(c.sent)
}

// send has each player send its messages, that many of them under way at once, and returns when
// the orchestrator has received all that were not refused.
func (c *throng) send(window int) error {
	var (
		players errgroup.Group
		refused atomic.Int64
		got     tally
	)

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	received := make(chan error, 1)

	go func() { received <- c.receive(ctx, &got) }()

	for _, end := range c.ends {
		players.Go(func() error {
			n, err := c.burstOf(end, window)
			refused.Add(n)

			return err
		})
	}

	err := players.Wait()
	sent := int64(c.burst) * int64(len(c.ends))
	c.sent += sent
	c.refused += refused.Load()

	if err != nil || got.expect(sent-refused.Load()) {
		cancel()
	}

	if wrong := <-received; !errors.Is(wrong, context.Canceled) {
		err = errors.Join(err, wrong)
	}

	return err
}

// receive counts the messages until there are as many as are expected, or the context is done.
func (c *throng) receive(ctx context.Context, got *tally) error {
	for {
		if _, _, err := c.line.in.Recv(ctx); err != nil {
			return fmt.Errorf("after %d messages: %w", got.count.Load(), err)
		}

		if got.add() {
			return nil
		}
	}
}

// burstOf has one player send its messages, and returns how many were too many.
func (c *throng) burstOf(end stream, window int) (refused int64, err error) {
	pending := make([]<-chan error, 0, c.burst)

	for i := range c.burst {
		if i >= window {
			n, err := refusal(pending[i-window])
			if err != nil {
				return 0, err
			}

			refused += n
		}

		pending = append(pending, end.out.Send(c.msg, c.to))
	}

	for _, outcome := range pending[max(0, c.burst-window):] {
		n, err := refusal(outcome)
		if err != nil {
			return 0, err
		}

		refused += n
	}

	return refused, nil
}

// refusal returns 1 if the message of that outcome was too many, and 0 if it has been delivered.
func refusal(outcome <-chan error) (int64, error) {
	err := settled(outcome)

	if failed, ok := errors.AsType[*session.DeliveryError](err); ok && failed.Reason == session.ReasonOverflow {
		return 1, nil
	}

	return 0, err
}

// tally counts towards a number that is known late.
type tally struct {
	count, expected atomic.Int64
}

// add counts one more, and tells whether that was the last.
func (t *tally) add() bool {
	return t.count.Add(1) == t.expected.Load()
}

// expect sets the number, and tells whether it has been reached already. Of expect and the last add
// at least one says so.
func (t *tally) expect(n int64) bool {
	t.expected.Store(n)

	return t.count.Load() == n
}
