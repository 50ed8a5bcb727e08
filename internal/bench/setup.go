package main

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"

	"github.com/minogrpc/session/mino"
)

// measureFirstBroadcast compares the first broadcast of a new overlay with bare
// handshakes, and the first one of a second stream with that.
func measureFirstBroadcast(p plan, t *table) error {
	const players = 32

	cold, warm := make([]series, len(p.modes)), make([]series, len(p.modes))

	for range p.Turns() {
		shaken, err := timeHandshakes(players)
		if err != nil {
			return err
		}

		for i, m := range p.modes {
			first, second, err := timeBroadcasts(shape{mode: m, players: players, secure: true})
			if err != nil {
				return err
			}

			cold[i], warm[i] = append(cold[i], first/shaken), append(warm[i], second/first)
		}
	}

	t.ratio("first broadcast, cold TLS, N = 32, vs 32 bare mutual handshakes in turn", goal{1.5, 1.2}, cold...)
	t.ratio("first broadcast, TLS, N = 32, warm connections vs cold", goal{0.15, 0.1}, warm...)

	return nil
}

// timeHandshakes returns how many seconds that many bare handshakes take, one after
// the other.
func timeHandshakes(n int) (float64, error) {
	config, err := mutualTLS()
	if err != nil {
		return 0, err
	}

	plain, err := listenLoopback()
	if err != nil {
		return 0, err
	}

	listener := tls.NewListener(plain, config)

	var greeter sync.WaitGroup

	greeter.Go(func() { greet(listener) })

	s := side{Name: raw, Run: func(n int) error {
		return repeat(n, func() error {
			return shakeHands(context.Background(), listener.Addr().String(), config)
		})
	}}
	took, err := s.Time(n)

	err = errors.Join(err, listener.Close())
	greeter.Wait()

	return took.Seconds(), err
}

// timeBroadcasts returns how many seconds the first broadcast of a new overlay
// takes, and then that of another stream.
func timeBroadcasts(s shape) (cold, warm float64, err error) {
	w, err := newWorld(s)
	if err != nil {
		return 0, 0, err
	}

	defer func() { err = errors.Join(err, w.close()) }()

	if cold, err = w.timeBroadcast(); err != nil {
		return 0, 0, err
	}

	warm, err = w.timeBroadcast()

	return cold, warm, err
}

// timeBroadcast returns how many seconds a new stream and its first broadcast take.
func (w *world) timeBroadcast() (float64, error) {
	msg := payload(1 << 10)
	s := side{Name: ours, Run: func(int) error {
		line, err := w.broadcast(msg)
		if err != nil {
			return err
		}

		line.close()

		return nil
	}}

	took, err := s.Time(1)

	return took.Seconds(), err
}

// measureDistance compares the first broadcast to many children with that to one,
// all of them far away.
func measureDistance(p plan, t *table) error {
	const children = 15

	ratios := make([]series, len(p.modes))

	for range p.Turns() {
		for i, m := range p.modes {
			far := shape{mode: m, players: 2, height: 1, delay: farAway / 2, secure: true}

			one, _, err := timeBroadcasts(far)
			if err != nil {
				return err
			}

			far.players = 1 + children

			all, _, err := timeBroadcasts(far)
			if err != nil {
				return err
			}

			ratios[i] = append(ratios[i], all/one)
		}
	}

	t.ratio("first broadcast, cold TLS, 20 ms round trips, 15 children vs 1", goal{1.5, 1.1}, ratios...)

	return nil
}

// measureSetup compares the set-up of a stream to one player, until its handler runs, with that of
// a bare one, up to its header, over connections that are there.
func measureSetup(p plan, t *table) (err error) {
	b, err := newBare(false)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, b.close()) }()

	door := door{came: make(chan struct{})}

	w, err := newWorld(shape{mode: duplex, players: 1, handler: func(int) mino.Handler { return door }})
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, w.close()) }()

	sides := []side{{Name: raw, Run: func(n int) error {
		return repeat(n, func() error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()

			_, err := openBare(ctx, b.client)

			return err
		})
	}}, {Name: ours, Run: func(n int) error {
		return repeat(n, func() error {
			line, err := w.open(w.players...)
			if err == nil {
				<-door.came
			}

			line.close()

			return err
		})
	}}}

	times, err := p.Compare(sides...)
	if err != nil {
		return err
	}

	counts, err := p.countAllocations(sides...)
	if err != nil {
		return err
	}

	t.ratio("set-up of a stream to one player, plain, warm, vs bare stream", goal{1.8, 1.3}, times[1].Over(times[0]))
	t.ratio("allocations of that set-up, vs bare stream", goal{2, 1.5}, counts[1].Over(counts[0]))

	return nil
}

// door says when a handler has come in, which leaves with its stream.
type door struct {
	mino.UnsupportedHandler

	came chan struct{}
}

// Stream implements mino.Handler.
func (d door) Stream(_ mino.Sender, in mino.Receiver) error {
	d.came <- struct{}{}

	// It ends without a message, when the stream does.
	_ = receive(stream{in: in})

	return nil
}
