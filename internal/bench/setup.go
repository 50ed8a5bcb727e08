package main

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"time"
)

// measureFirstBroadcast compares the first broadcast of a new overlay with bare
// handshakes, and the first one of a second stream with that.
func measureFirstBroadcast(p plan, t *table) error {
	const players = 32

	var shaken, cold, warm series

	for range p.rounds {
		took, err := timeHandshakes(players)
		if err != nil {
			return err
		}

		first, second, err := timeBroadcasts(shape{players: players, secure: true})
		if err != nil {
			return err
		}

		shaken, cold, warm = append(shaken, took), append(cold, first), append(warm, second)
	}

	t.ratio("first broadcast, cold TLS, N = 32, vs 32 bare handshakes in turn", "1.5", cold.over(shaken))
	t.ratio("first broadcast, TLS, N = 32, warm connections vs cold", "0.15", warm.over(cold))

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

	s := side{name: raw, run: func(n int) error {
		return repeat(n, func() error {
			return shakeHands(context.Background(), listener.Addr().String(), config)
		})
	}}
	took, err := s.time(n)

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
	s := side{name: ours, run: func(int) error {
		line, err := w.broadcast(msg)
		if err != nil {
			return err
		}

		line.close()

		return nil
	}}

	took, err := s.time(1)

	return took.Seconds(), err
}

// measureDistance compares the first broadcast to many children with that to one,
// all of them far away.
func measureDistance(p plan, t *table) error {
	const oneWay = 10 * time.Millisecond

	children := []int{1, 15}
	times := make([]series, len(children))

	for range p.rounds {
		for i, n := range children {
			took, _, err := timeBroadcasts(shape{players: 1 + n, height: 1, delay: oneWay, secure: true})
			if err != nil {
				return err
			}

			times[i] = append(times[i], took)
		}
	}

	t.ratio("first broadcast, cold TLS, 20 ms round trips, 15 children vs 1", "1.5", times[1].over(times[0]))

	return nil
}

// measureSetup compares the set-up of a stream to one player with that of a bare
// one, each up to its header and over a connection that is there.
func measureSetup(p plan, t *table) error {
	b, err := newBare(false)
	if err != nil {
		return err
	}

	w, err := newWorld(shape{players: 1})
	if err != nil {
		return errors.Join(err, b.close())
	}

	times, err := p.compare(side{name: raw, run: func(n int) error {
		return repeat(n, func() error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()

			_, err := openBare(ctx, b.client)

			return err
		})
	}}, side{name: ours, run: func(n int) error {
		return repeat(n, func() error {
			line, err := w.open(w.players...)
			line.close()

			return err
		})
	}})
	if err == nil {
		t.ratio("set-up of a stream to one player, plain, warm, vs bare stream", "", times[1].over(times[0]))
	}

	return errors.Join(err, w.close(), b.close())
}
