package protocol

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/stretchr/testify/require"
)

var errLost = errors.New("silent for 10s")

// gather returns what a gathering yields, as a line for each player.
func gather(seq iter.Seq2[mino.Address, Result[int]]) (lines []string) {
	for addr, r := range seq {
		line := fmt.Sprintf("%v = %d", addr, r.Value)
		if r.Err != nil {
			line = r.Err.Error()
		}

		lines = append(lines, fmt.Sprintf("%s after %v, %d left", line, r.Latency, r.Left))
	}

	return lines
}

// withDeadline returns a context that is done after a minute.
func withDeadline(t *testing.T) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)

	return ctx
}

// Promise P2: every player has exactly one result, with the reason, as soon as it is known.
func TestGather_OneResultForEachPlayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, procedure := newPlayed(t)
		p.outcomes = map[mino.Address]error{name("b"): unreachedError{doubtError{name("b")}}}

		go func() {
			for _, do := range []func(){
				func() { p.says("c", kindAnswer, 1, "14") },
				func() { p.says("d", kindAnswer, 1, "fourteen") },
				func() { p.events <- mino.Event{From: heardName{"e"}, Message: envelope{}} },
				func() { p.says("f", kindFailure, 1, "no key") },
				func() { p.says("g", kindRefusal, 1, "not a number") },
				func() { p.news("h", mino.PlayerReached, nil); p.news("h", mino.PlayerLost, errLost) },
				func() { p.news("i", mino.PlayerFailed, errors.New("panic: at the disco")) },
				func() { p.news("j", mino.PlayerFinished, nil) },
			} {
				time.Sleep(time.Second)
				do()
			}
		}()

		require.Equal(t, []string{
			"b: not delivered: no outcome in time after 0s, 9 left",
			"c = 14 after 1s, 8 left",
			"d: bad answer: decode: invalid character 'o' in literal false (expecting 'a') after 2s, 7 left",
			"e: bad answer: not a message of this package after 3s, 6 left",
			"f: failed: no key after 4s, 5 left",
			"g: refused the request: not a number after 5s, 4 left",
			"h: lost: silent for 10s after 6s, 3 left",
			"i: failed: panic: at the disco after 7s, 2 left",
			"j: finished without an answer after 8s, 1 left",
			"k: late: context deadline exceeded after 1m0s, 0 left",
		}, gather(procedure.Gather(withDeadline(t), 7, mino.NewAddresses(names("bcdefghijk")...))))
		require.Equal(t, envelope{kindRequest, 1, []byte("7")}, <-p.sent)
		require.Error(t, p.ctx.Err(), "the stream has ended with the loop")
	})
}

// Promise P2: the address is the caller's own value, and a player that is named twice counts once.
func TestGather_YieldsTheOwnAddressOnce(t *testing.T) {
	p, procedure := newPlayed(t)
	p.asked(func() { p.says("b", kindAnswer, 1, "1"); p.says("c", kindAnswer, 1, "2") })
	require.Len(t, gather(procedure.Gather(t.Context(), 0, mino.NewAddresses(names("bcb")...))), 2)

	p.asked(func() { p.says("b", kindAnswer, 1, "1") })

	for addr, r := range procedure.Gather(t.Context(), 0, mino.NewAddresses(names("bb")...)) {
		require.Equal(t, name("b"), addr)
		require.Equal(t, name("b"), r.From)
	}
}

// Promise P2: the news that a player is lost may come before the outcome of its request. If the request was not
// delivered, that is the result, and it is safe to ask again. A gathering does not wait long for that.
func TestGather_LostPlayerThatHasNotGotTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, procedure := newPlayed(t)
		p.outcomes = map[mino.Address]error{name("b"): unreachedError{doubtError{name("b")}}}
		p.held = make(chan struct{})

		p.asked(func() {
			p.news("b", mino.PlayerLost, errLost)
			p.news("c", mino.PlayerLost, errLost)
			time.AfterFunc(500*time.Millisecond, func() { close(p.held) })
		})

		require.Equal(t, []string{
			"b: not delivered: no outcome in time after 500ms, 1 left",
			"c: lost: silent for 10s after 500ms, 0 left",
		}, gather(procedure.Gather(withDeadline(t), 0, mino.NewAddresses(names("bc")...))))

		p.held = make(chan struct{})
		defer close(p.held)

		p.asked(func() { p.news("b", mino.PlayerLost, errLost) })
		require.Equal(t, []string{"b: lost: silent for 10s after 1s, 0 left"},
			gather(procedure.Gather(withDeadline(t), 0, mino.NewAddresses(names("b")...))))
	})
}

// What nobody has asked for is no answer: of a stranger, to another request, or a second one.
func TestGather_IgnoresWhatIsNoAnswerToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, procedure := newPlayed(t)

		p.asked(func() {
			p.says("z", kindAnswer, 1, "1")
			p.says("b", kindAnswer, 2, "2")
			p.says("b", kindFailure, 2, "no")
			p.says("c", kindAnswer, 1, "3")
			p.says("c", kindAnswer, 1, "4")
			p.news("z", mino.PlayerLost, errLost)
		})

		require.Equal(t, []string{
			"c = 3 after 0s, 1 left",
			"b: late: context deadline exceeded after 1m0s, 0 left",
		}, gather(procedure.Gather(withDeadline(t), 0, mino.NewAddresses(names("bc")...))))
	})
}

// Promise P2: a request in doubt may still be answered. If it is not, both reasons are told.
func TestGather_WaitsForARequestInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, procedure := newPlayed(t)
		p.outcomes = map[mino.Address]error{name("b"): doubtError{name("b")}, name("c"): doubtError{name("c")}}

		time.AfterFunc(time.Second, func() { p.says("b", kindAnswer, 1, "1") })

		require.Equal(t, []string{
			"b = 1 after 1s, 1 left",
			"c: late: context deadline exceeded\nno outcome in time after 1m0s, 0 left",
		}, gather(procedure.Gather(withDeadline(t), 0, mino.NewAddresses(names("bc")...))))
	})
}

// Promise L7: the end of the stream is the result of all that have not answered, with the cause.
func TestGather_EndOfTheStreamIsAResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, procedure := newPlayed(t)
		p.asked(func() {
			p.says("c", kindAnswer, 1, "1")
			time.AfterFunc(time.Second, func() { close(p.events) })
		})

		require.Equal(t, []string{
			"c = 1 after 0s, 2 left",
			"b: the stream has ended: the root has gone after 1s, 1 left",
			"d: the stream has ended: the root has gone after 1s, 0 left",
		}, gather(procedure.Gather(withDeadline(t), 0, mino.NewAddresses(names("bcd")...))))
	})
}

func TestGather_StreamThatCannotBeOpenedIsAResultOfAll(t *testing.T) {
	p, procedure := newPlayed(t)
	p.roots = []error{errEnd}

	require.Equal(t, []string{
		"b: not delivered: open: the root has gone after 0s, 1 left",
		"c: not delivered: open: the root has gone after 0s, 0 left",
	}, gather(procedure.Gather(t.Context(), 0, mino.NewAddresses(names("bc")...))))

	p.roots = []error{errEnd}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	for _, r := range procedure.Gather(ctx, 0, mino.NewAddresses(names("bc")...)) {
		require.ErrorContains(t, r.Err, "b: late: open")

		break
	}

	require.Empty(t, gather(procedure.Gather(t.Context(), 0, mino.NewAddresses())))
}

func TestGather_BreakEndsTheStream(t *testing.T) {
	p, procedure := newPlayed(t)
	p.asked(func() { p.says("b", kindAnswer, 1, "1") })

	seq := procedure.Gather(t.Context(), 0, mino.NewAddresses(names("bc")...))
	require.Empty(t, p.opened, "it starts when it is ranged over")

	for range seq {
		require.NoError(t, p.ctx.Err())

		break
	}

	require.ErrorIs(t, p.ctx.Err(), context.Canceled)
	require.PanicsWithValue(t, "protocol: a gathering can be ranged over once", func() {
		for range seq {
			break
		}
	})
}

// A request that cannot be encoded goes to nobody.
func TestGather_RequestThatCannotBeEncodedIsNotDelivered(t *testing.T) {
	p, _ := newPlayed(t)
	procedure, err := Define(p, "test", func(context.Context, *Stream[chan int, int]) error { return nil })
	require.NoError(t, err)

	require.Equal(t, []string{"b: not delivered: encode: json: unsupported type: chan int"},
		reasons(procedure.Gather(t.Context(), nil, mino.NewAddresses(name("b")))))
	require.Empty(t, p.sent)
}

func reasons(seq iter.Seq2[mino.Address, Result[int]]) (texts []string) {
	for _, r := range seq {
		texts = append(texts, r.Err.Error())
	}

	return texts
}

// A player that is lost may come back within the patience of the caller.
func TestGather_HasPatienceWithALostPlayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, procedure := newPlayed(t, WithPatience(5*time.Second), WithPatience(-1))

		p.asked(func() {
			for _, player := range []string{"b", "c", "d", "e"} {
				p.news(player, mino.PlayerLost, errLost)
			}
		})

		time.AfterFunc(2*time.Second, func() { p.says("d", kindAnswer, 1, "4"); p.news("b", mino.PlayerBack, nil) })
		time.AfterFunc(4*time.Second, func() {
			p.news("e", mino.PlayerBack, nil)
			p.news("e", mino.PlayerLost, errLost)
		})
		time.AfterFunc(20*time.Second, func() { p.says("b", kindAnswer, 1, "2") })

		require.Equal(t, []string{
			"d = 4 after 2s, 3 left",
			"c: lost: silent for 10s after 5s, 2 left",
			"e: lost: silent for 10s after 9s, 1 left",
			"b = 2 after 20s, 0 left",
		}, gather(procedure.Gather(withDeadline(t), 0, mino.NewAddresses(names("bcde")...))))
	})
}

// Answers of one round do not get into another, and a player that has gone is not asked again.
func TestOpen_RoundsAreNotConfused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p, procedure := newPlayed(t)
		s, err := procedure.Open(ctx, mino.NewAddresses(names("bcde")...))
		require.NoError(t, err)

		p.asked(func() { p.says("b", kindAnswer, 1, "1") })
		p.asked(func() {
			p.says("c", kindAnswer, 1, "-1")
			p.news("d", mino.PlayerFailed, errEnd)
			p.says("c", kindAnswer, 2, "2")
		})

		for range s.Gather(ctx, 0, names("bc")...) {
			break // The answer of c is late.
		}

		require.Equal(t, []string{"c = 2 after 0s, 0 left"}, gather(s.Gather(ctx, 0, names("c")...)))
		require.Equal(t, []string{"d: failed: the root has gone after 0s, 0 left"},
			gather(s.Gather(ctx, 0, names("d")...)))

		// Two at once.
		for addr := range s.Gather(ctx, 0, append(names("bc"), heardName{"d"})...) {
			if addr.Equal(name("d")) {
				p.asked(func() { p.says("b", kindAnswer, 5, "5") })
				require.Equal(t, []string{"b = 5 after 0s, 0 left"}, gather(s.Gather(ctx, 0, names("b")...)))
				p.says("b", kindAnswer, 4, "4")
				p.says("c", kindAnswer, 4, "4")
			}
		}

		require.Len(t, p.sent, 4, "nobody has asked d")
		cancel()
		<-s.done

		require.Equal(t, []string{"b: late: context canceled after 0s, 0 left"},
			gather(s.Gather(t.Context(), 0, names("b")...)))
	})
}
