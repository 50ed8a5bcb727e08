//go:build linux

package attacks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/minogrpc/session/mino"
)

// pause is how long the honest node waits between two messages.
const pause = 5 * time.Millisecond

// window is what has become of the messages of the honest node since it was asked the last time.
type window struct {
	// Sent is the number of messages that have an outcome, and Failed the outcomes that are not
	// what they should be. Missing are the answers that have not come.
	Sent    int `json:"sent"`
	Failed  int `json:"failed"`
	Missing int `json:"missing"`
	// Median is the time until the outcome.
	Median time.Duration `json:"median"`
	// Cause is one of the failures.
	Cause string `json:"cause"`
}

// sender is the honest node's side of a stream.
type sender struct {
	out    mino.Sender
	player mino.Address

	mu       sync.Mutex
	took     []time.Duration
	failed   int
	cause    error
	answered int
	sent     int
}

// runHonest sends messages over one stream to the first of the players.
func runHonest(in *json.Decoder, out *json.Encoder) {
	node, rpc, me := startNode(in)
	mustNot(out.Encode(me))

	var victim identity

	mustNot(in.Decode(&victim))
	know(node, victim)

	ctx, cancel := context.WithCancel(context.Background())
	s := &sender{player: addressOf(victim)}

	var (
		receiver mino.Receiver
		err      error
	)

	s.out, receiver, err = rpc.Stream(ctx, mino.NewAddresses(s.player))
	mustNot(err)

	var wg sync.WaitGroup

	wg.Go(func() { s.send(ctx) })
	wg.Go(func() { s.receive(ctx, receiver) })
	mustNot(out.Encode(s.window()))

	for {
		var q question
		if errors.Is(in.Decode(&q), io.EOF) {
			break
		}

		mustNot(out.Encode(s.window()))
	}

	cancel()
	wg.Wait()
	mustNot(node.GracefulStop())
}

// send sends one message after the other.
func (s *sender) send(ctx context.Context) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()

	for ctx.Err() == nil {
		begun := time.Now()
		err := <-s.out.Send(text("question"), s.player)

		if ctx.Err() != nil {
			return
		}

		s.mu.Lock()
		s.took = append(s.took, time.Since(begun))
		s.sent++

		if err != nil {
			s.failed++
			s.cause = err
		}
		s.mu.Unlock()

		<-ticker.C
	}
}

// receive counts the answers.
func (s *sender) receive(ctx context.Context, in mino.Receiver) {
	for {
		_, _, err := in.Recv(ctx)

		s.mu.Lock()

		if err == nil {
			s.answered++
		} else if ctx.Err() == nil {
			s.failed++
			s.cause = err
		}
		s.mu.Unlock()

		if err != nil {
			return
		}
	}
}

// window returns what has become of the messages, and begins anew.
func (s *sender) window() window {
	s.mu.Lock()
	defer s.mu.Unlock()

	w := window{Sent: len(s.took), Failed: s.failed, Missing: s.sent - s.answered}
	if s.cause != nil {
		w.Cause = s.cause.Error()
	}

	if w.Sent > 0 {
		slices.Sort(s.took)
		w.Median = s.took[w.Sent/2]
	}

	s.took, s.failed, s.cause = nil, 0, nil

	return w
}

// fscan reads numbers from text.
func fscan(text []byte, numbers ...any) (int, error) {
	return fmt.Fscan(bytes.NewReader(text), numbers...)
}
