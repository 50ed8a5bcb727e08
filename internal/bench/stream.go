package main

import (
	"context"
	"sync"

	"github.com/minogrpc/session/internal/bench/paired"
	"github.com/minogrpc/session/mino"
)

// stream is a stream to all the players of a world, or some.
type stream struct {
	out mino.Sender
	in  mino.Receiver

	// close ends it, like the end of the world.
	close context.CancelFunc
}

// open opens a stream from the orchestrator to the players, the first of whom is the
// root.
func (w *world) open(players ...mino.Address) (stream, error) {
	ctx, cancel := context.WithCancel(w.ctx)

	out, in, err := w.rpc.Stream(ctx, mino.NewAddresses(players...))
	if err != nil {
		cancel()
	}

	return stream{out: out, in: in, close: cancel}, err
}

// broadcast opens a stream and sends its first message to all the players. It
// returns when it is known to be with all of them.
func (w *world) broadcast(msg blob) (s stream, err error) {
	err = paired.Labelled(ours, func() error {
		if s, err = w.open(w.players...); err != nil {
			return err
		}

		return settled(s.out.Send(msg, w.players...))
	})

	return s, err
}

// collect receives that many messages.
func (s stream) collect(n int) error {
	return repeat(n, func() error {
		_, _, err := s.in.Recv(context.Background())

		return err
	})
}

// settled waits until all outcomes are known, and returns the first bad one.
func settled(outcomes <-chan error) error {
	var first error

	for err := range outcomes {
		if first == nil {
			first = err
		}
	}

	return first
}

// seats are handlers that leave both ends of their stream to somebody else.
type seats struct {
	taken []chan stream
	over  chan struct{}
	once  sync.Once
}

// newSeats returns the handlers for that many players.
func newSeats(players int) *seats {
	s := &seats{taken: make([]chan stream, players+1), over: make(chan struct{})}
	for i := range s.taken {
		s.taken[i] = make(chan stream, 1)
	}

	return s
}

// handler returns the handler of one node, for one stream.
func (s *seats) handler(node int) mino.Handler {
	return seat{seats: s, node: node}
}

// take waits for the handler of a node.
func (s *seats) take(node int) stream {
	return <-s.taken[node]
}

// leave lets the handlers end.
func (s *seats) leave() {
	s.once.Do(func() { close(s.over) })
}

type seat struct {
	mino.UnsupportedHandler
	*seats

	node int
}

// Stream implements mino.Handler.
func (s seat) Stream(out mino.Sender, in mino.Receiver) error {
	s.taken[s.node] <- stream{out: out, in: in}
	<-s.over

	return nil
}
