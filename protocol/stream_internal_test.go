package protocol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

// Promise M3: no more messages are under way to one destination than the window says.
func TestSend_WaitsForRoomAtAllDestinations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p, procedure := newPlayed(t, WithWindow(2), WithWindow(0))
		p.held = make(chan struct{})
		s, err := procedure.Open(ctx, mino.NewAddresses(names("bc")...))
		require.NoError(t, err)

		first := s.Send(ctx, 1, names("b")...)
		s.Send(ctx, 2, names("bb")...)

		short, stop := context.WithTimeout(ctx, time.Second)
		defer stop()

		begin := time.Now()
		err = <-s.Send(short, 3, names("cb")...)
		require.EqualError(t, err, "c: not delivered: no room in the window: context deadline exceeded")
		require.Equal(t, time.Second, time.Since(begin))
		s.Send(ctx, 4, names("c")...)
		s.Send(ctx, 5, names("c")...) // What has not been sent takes no room.

		require.Equal(t, []string{"b: late: no room in the window: context deadline exceeded after 0s, 0 left"},
			gather(s.Gather(short, 6, names("b")...)))

		time.AfterFunc(time.Second, func() { close(p.held) })
		require.NoError(t, <-s.Send(ctx, 7, names("b")...))
		require.Equal(t, 2*time.Second, time.Since(begin))
		require.NoError(t, <-first)
		require.Len(t, p.sent, 5)
		cancel()
		synctest.Wait()
		require.Empty(t, s.window.under)
	})
}

// Promise P3: a message is sent in the context of the call, in which a tracer finds the span of the caller.
func TestSend_IsInTheContextOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p, procedure := newPlayed(t)
		p.senders = make(chan any, 2)
		s, err := procedure.Open(ctx, mino.NewAddresses(names("b")...))
		require.NoError(t, err)

		require.NoError(t, <-s.Send(context.WithValue(ctx, senderKey{}, "sender"), 1, names("b")...))
		require.Equal(t, "sender", <-p.senders)

		short, stop := context.WithTimeout(context.WithValue(ctx, senderKey{}, "gatherer"), time.Second)
		defer stop()

		gather(s.Gather(short, 2, names("b")...))
		require.Equal(t, "gatherer", <-p.senders)
		cancel()
		synctest.Wait()
	})
}

// Promise O1: Send has one outcome for each destination.
func TestSend_TellsTheOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p, procedure := newPlayed(t)
		p.outcomes = map[mino.Address]error{
			name("b"): unreachedError{doubtError{name("b")}},
			name("d"): doubtError{name("d")},
		}
		s, err := procedure.Open(ctx, mino.NewAddresses(names("bcd")...))
		require.NoError(t, err)

		var texts []string
		for err := range s.Send(ctx, 1, names("bcdb")...) {
			var why *PlayerError
			require.ErrorAs(t, err, &why)
			require.ErrorIs(t, err, p.outcomes[why.Player])
			texts = append(texts, err.Error())
		}

		require.Equal(t, []string{"b: not delivered: no outcome in time", "d: in doubt: no outcome in time"}, texts)
		require.Equal(t, envelope{kindRequest, 0, []byte("1")}, <-p.sent)

		_, more := <-s.Send(ctx, 1)
		require.False(t, more)

		p.held = make(chan struct{})
		errs := s.Send(ctx, 1, names("c")...)
		cancel()
		require.EqualError(t, <-errs, "c: in doubt: the outcome is not awaited: context canceled")
		close(p.held)
	})
}

// play runs the play as the overlay would. It returns what ends it, and the channel with its error.
func play(t *testing.T, p *played, do func(ctx context.Context, s *Stream[int, int]) error) <-chan error {
	t.Helper()

	_, err := Define(p, "test", do)
	require.NoError(t, err)

	ended := make(chan error, 1)
	go func() { ended <- p.handler.StreamContext(t.Context(), p, p) }()

	return ended
}

// A request that cannot be decoded is refused, and the play goes on. Nonsense of a stranger is nothing.
func TestRequests_AnswerFailAndRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPlayed(t)
		p.end = fmt.Errorf("the end: %w", io.EOF)

		ended := play(t, p, Answer(func(_ context.Context, n int) (int, error) {
			if n < 0 {
				return 0, errors.New(strings.Repeat("ü", maxText))
			}

			return 2 * n, nil
		}))

		p.says("a", kindRequest, 1, "21")
		p.says("a", kindRequest, 2, `"x"`)
		p.says("a", kindRequest, 0, `"x"`)
		p.says("a", 0, 0, "")
		p.says("a", kindRequest, 3, "-1")
		p.says("a", kindRequest, 0, "5")
		p.says("a", kindRequest, 4, "2")
		close(p.events)

		require.NoError(t, <-ended)
		require.Equal(t, envelope{kindAnswer, 1, []byte("42")}, <-p.sent)
		require.Equal(t, "decode: json: cannot unmarshal string into Go value of type int", string((<-p.sent).payload))

		failure := <-p.sent
		require.Equal(t, kindFailure, failure.kind)
		require.Len(t, failure.payload, maxText)
		require.Equal(t, envelope{kindAnswer, 4, []byte("4")}, <-p.sent)
		require.Empty(t, p.sent)
	})
}

// Promise L7: the loop ends with the stream, without an error if the end is clean, and after all requests.
func TestRequests_EndWithTheStream(t *testing.T) {
	for name, tt := range map[string]struct {
		end  error
		want string
	}{"clean": {io.EOF, ""}, "unclean": {errEnd, "requests: the root has gone"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, _ := newPlayed(t)
				p.end = tt.end
				got := 0

				ended := play(t, p, func(ctx context.Context, s *Stream[int, int]) error {
					<-ctx.Done()
					require.ErrorIs(t, context.Cause(ctx), tt.end)

					for in, err := range s.Requests(ctx) {
						if err != nil {
							return err
						}

						got += in.Value
						require.NoError(t, in.Reply(ctx, in.Value), "there is room")
					}

					return nil
				})

				for range 10 {
					p.says("a", kindRequest, 1, "1")
				}

				close(p.events)

				err := <-ended
				require.Equal(t, 10, got)

				if tt.want == "" {
					require.NoError(t, err)
				} else {
					require.EqualError(t, err, tt.want)
				}
			})
		})
	}
}

// The loop ends with its own context, whatever waits. A play that returns leaves nothing.
func TestRequests_EndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPlayed(t)
		p.says("a", kindRequest, 1, "1")

		ended := play(t, p, func(ctx context.Context, s *Stream[int, int]) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()

			for in, err := range s.Requests(ctx) {
				if err != nil {
					return err
				}

				require.Equal(t, 1, in.Value)
			}

			return nil
		})

		require.EqualError(t, <-ended, "requests: context deadline exceeded")
	})
}

// Promise M1: what waits is bounded. The reader stops at the bound, and the overlay has the rest.
func TestRequests_WaitWithinABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPlayed(t)
		ctx, cancel := context.WithCancel(t.Context())
		got := 0

		ended := play(t, p, func(_ context.Context, s *Stream[int, int]) error {
			<-ctx.Done()

			for _, err := range s.Requests(t.Context()) {
				if err != nil {
					return err
				}

				got++
			}

			return nil
		})

		for range 2 * maxWaiting {
			p.says("a", kindRequest, 1, "1")
		}

		synctest.Wait()
		require.Len(t, p.events, maxWaiting-1, "one is in the hand of the reader")
		close(p.events)
		p.end = io.EOF

		cancel()
		require.NoError(t, <-ended)
		require.Equal(t, 2*maxWaiting, got)
		require.Empty(t, p.sent)
	})
}

// Promise M1: while answers are gathered, requests past the bound are refused, and none is lost without a word.
func TestRequests_AreRefusedWhileAnswersAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPlayed(t)
		got, dropped := 0, 0

		ended := play(t, p, func(ctx context.Context, s *Stream[int, int]) error {
			require.Equal(t, []string{"b = 1 after 0s, 0 left"}, gather(s.Gather(ctx, 0, names("b")...)))

			for _, err := range s.Requests(ctx) {
				if err != nil {
					require.ErrorIs(t, err, ErrDropped)
					require.Equal(t, maxWaiting, got)

					dropped++
				} else {
					got++
				}
			}

			return nil
		})

		require.Equal(t, kindRequest, (<-p.sent).kind)

		for range maxWaiting {
			p.says("a", kindRequest, 1, "1")
		}

		p.says("a", kindRequest, 2, "1")
		p.says("a", kindRequest, 0, "1")
		p.says("b", kindAnswer, 1, "1")
		p.end = io.EOF
		close(p.events)

		require.NoError(t, <-ended)
		require.Equal(t, maxWaiting, got)
		require.Equal(t, 1, dropped)
		require.Equal(t, envelope{kindRefusal, 2, []byte("too many requests are waiting")}, <-p.sent)
	})
}

// Promise S1: a play that panics leaves no goroutine. The overlay contains the panic.
func TestPlay_PanicLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPlayed(t)
		_, err := Define(p, "test", func(ctx context.Context, s *Stream[int, int]) error {
			for range 2 * maxWaiting {
				p.says("a", kindRequest, 1, "1")
			}

			go func() { gather(s.Gather(ctx, 1, names("b")...)) }()
			synctest.Wait()
			panic("at the disco")
		})
		require.NoError(t, err)
		require.PanicsWithValue(t, "at the disco", func() { _ = p.handler.StreamContext(t.Context(), p, p) })
	})
}

func TestOpen_FallsBackToOtherRoots(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")

	for name, tt := range map[string]struct {
		opts   []Option
		roots  []error
		opened []string
		want   string
	}{
		"not by default": {nil, []error{first}, []string{"bcd"}, "first"},
		"the next":       {[]Option{WithRootFallback(2)}, []error{first}, []string{"bcd", "cbd"}, ""},
		"the one after":  {[]Option{WithRootFallback(9)}, []error{first, second}, []string{"bcd", "cbd", "dbc"}, ""},
		"not for ever": {[]Option{WithRootFallback(1)}, []error{first, second}, []string{"bcd", "cbd"},
			"first\nsecond"},
		"not negative": {[]Option{WithRootFallback(1), WithRootFallback(-1)}, []error{first},
			[]string{"bcd", "cbd"}, ""},
	} {
		p, procedure := newPlayed(t, tt.opts...)
		p.roots = tt.roots

		ctx, cancel := context.WithCancel(t.Context())
		s, err := procedure.Open(ctx, mino.NewAddresses(names("bcd")...))
		cancel()

		if tt.want == "" {
			require.NoError(t, err, name)
			<-s.done
		} else {
			require.EqualError(t, err, tt.want, name)
		}

		require.Equal(t, tt.opened, p.opened, name)
	}
}

// flood is an overlay in which a player sends messages as fast as they are received.
type flood struct{ *played }

func (f flood) Stream(ctx context.Context, players mino.Players) (mino.Sender, mino.Receiver, error) {
	_, _, err := f.played.Stream(ctx, players)

	return f, f, err
}

// RecvEvent prefers a message to the context, as that of a session does.
func (flood) RecvEvent(context.Context) (mino.Event, error) {
	return mino.Event{From: name("b"), Message: envelope{kindAnswer, 7, nil}}, nil
}

// Promise L10: a player that goes on sending does not keep a play that has returned, or a gathering that has ended.
func TestStream_EndsWhileMessagesCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, procedure := newPlayed(t)
		require.NoError(t, p.handler.StreamContext(t.Context(), p, flood{p}))

		ctx, cancel := context.WithCancel(t.Context())
		procedure.rpc = flood{p}
		p.asked(cancel)
		require.Equal(t, []string{"b: late: context canceled after 0s, 0 left"},
			gather(procedure.Gather(ctx, 1, mino.NewAddresses(names("b")...))))
	})
}
