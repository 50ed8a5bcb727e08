package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/minogrpc/session/internal/bench/paired"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
)

// largest is the size of a message that is in the way of others, in bytes. It is the
// default limit.
const largest = 64 << 20

// measureWait looks at a link while a large message passes it: how long the slowest of
// the small messages takes that another node sends the same way, and how long the
// sender hears nothing from the receiver. A heartbeat is heard at least that often.
func measureWait(p plan, t *table) error {
	modes := p.linkModes()
	waits, silences := make([]series, len(modes)), make([]series, len(modes))

	for i, m := range modes {
		var ear ear

		pair, err := newPair(shape{mode: m, players: 2, heard: ear.hear})
		if err != nil {
			return err
		}

		for round := range 1 + p.few() {
			wait, silence, err := pair.waits(p.large, &ear)
			if err != nil {
				return errors.Join(err, pair.close())
			}

			// The first time, nobody has had that much memory.
			if round == 0 {
				continue
			}

			waits[i] = append(waits[i], wait.Seconds())

			// Over other links the receiver says nothing by itself.
			if m == duplex {
				silences[i] = append(silences[i], silence.Seconds())
			}
		}

		if err := pair.close(); err != nil {
			return err
		}
	}

	t.milliseconds("slowest small message while 64 MiB pass the link, plain, absolute", goal{target: 100},
		p.linkCells(waits)...)
	t.milliseconds("longest silence of who receives 64 MiB, plain, absolute", goal{target: 100},
		p.linkCells(silences)...)

	return nil
}

// waits sends the large message from the root to its child, and small ones from the
// orchestrator as long as that takes. Those of the root would wait by right: the
// messages of one sender to one receiver keep their order.
func (p *pair) waits(size int, ear *ear) (wait, silence time.Duration, err error) {
	var group errgroup.Group

	large, small := payload(size), payload(64)
	child := p.world.players[1]
	passed := make(chan struct{})
	sent := 1

	ear.reset()
	group.Go(func() error {
		defer close(passed)

		return paired.Labelled(ours, func() error { return settled(p.root.out.Send(large, child)) })
	})

	// There is a figure also where the large message is gone at once.
	for sent == 1 || !isClosed(passed) {
		took, err := paired.Timed(func() error { return settled(p.orchestrator.out.Send(small, child)) })
		if err != nil {
			return 0, 0, errors.Join(err, group.Wait())
		}

		wait = max(wait, took)
		sent++
	}

	silence = ear.longest()

	return wait, silence, errors.Join(group.Wait(), p.child.collect(sent))
}

// ear notes how long nothing is heard.
type ear struct {
	mu   sync.Mutex
	last time.Time
	gap  time.Duration
}

// reset begins a new time.
func (e *ear) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()

	e.last, e.gap = time.Now(), 0
}

// hear notes that something has been heard.
func (e *ear) hear() {
	e.mu.Lock()
	defer e.mu.Unlock()

	now := time.Now()
	e.last, e.gap = now, max(e.gap, now.Sub(e.last))
}

// longest returns the longest time so far.
func (e *ear) longest() time.Duration {
	e.hear()

	e.mu.Lock()
	defer e.mu.Unlock()

	return e.gap
}

// hear implements grpc.StreamClientInterceptor.
func (w *world) hear(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string,
	open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, conn, method, opts...)

	return heardStream{stream, w.heard}, err
}

// heardStream tells that something has come.
type heardStream struct {
	grpc.ClientStream

	heard func()
}

// RecvMsg implements grpc.ClientStream.
func (s heardStream) RecvMsg(msg any) error {
	err := s.ClientStream.RecvMsg(msg)
	if err == nil {
		s.heard()
	}

	return err
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
