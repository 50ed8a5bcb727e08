package deadline_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/internal/deadline"
	"github.com/stretchr/testify/require"
)

const (
	second = time.Second
	milli  = time.Millisecond
)

// passes returns how long it takes until the deadline passes, in the time of a bubble.
func passes(t *testing.T, left, most time.Duration, meanwhile func(d *deadline.Deadline)) time.Duration {
	t.Helper()

	began := time.Now()
	passed := make(chan time.Duration, 1)
	d := deadline.Start(left, most, func() { passed <- time.Since(began) })

	meanwhile(d)

	return <-passed
}

// Promise L2: a deadline that nobody holds up is as long as it says.
func TestDeadline_PassesWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, left := range []time.Duration{1, milli, 100 * milli, 101 * milli, 3 * second} {
			require.Equal(t, left, passes(t, left, time.Hour, func(*deadline.Deadline) {}))
		}

		require.Equal(t, second, passes(t, time.Hour, second, func(*deadline.Deadline) {}))
	})
}

func TestDeadline_CanBeExtendedUpToTheMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := passes(t, second, 10*second, func(d *deadline.Deadline) {
			time.Sleep(950 * milli)
			d.Extend(2 * second)
		})
		// A tick of which half has passed still counts as a whole.
		require.InDelta(t, 2950*milli, took, float64(50*milli))

		require.Equal(t, 10*second, passes(t, second, 10*second, func(d *deadline.Deadline) { d.Extend(time.Hour) }))
		require.Equal(t, 5*second, passes(t, 5*second, 10*second, func(d *deadline.Deadline) { d.Extend(second) }),
			"it gets no shorter")
	})
}

// Promise L1: a tick counts for the less the later it comes, and for an eighth at least. So a process that
// has little of the processor waits longer, and not for ever.
func TestDeadline_PassesLaterWithoutTheProcessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for late, want := range map[time.Duration]time.Duration{
			0:           second,
			10 * milli:  second + 10*10*milli,
			11 * milli:  1100*milli + 11*11*milli,
			20 * milli:  2*second + 20*20*milli,
			40 * milli:  4*second + 40*40*milli,
			100 * milli: 8*second + 80*100*milli,
			3 * second:  8*second + 80*3*second,
		} {
			restore := deadline.Starve(func() { time.Sleep(late) })
			took := passes(t, second, second, func(*deadline.Deadline) {})

			restore()
			require.InDelta(t, want, took, float64(want)/4, "late by %v", late)
			require.GreaterOrEqual(t, took, second)
		}
	})
}

// Promise L5: whoever waits with the context learns that the time is over, but not that the caller has
// canceled it.
func TestContext_TellsWhyItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, _, cancel := deadline.Context(t.Context(), second)
		defer cancel()

		_, bounded := ctx.Deadline()
		require.False(t, bounded)
		time.Sleep(second - 1)
		synctest.Wait()
		require.NoError(t, ctx.Err())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.ErrorIs(t, context.Cause(ctx), context.DeadlineExceeded)

		ctx, d, cancel := deadline.Context(t.Context(), second)
		cancel()
		time.Sleep(time.Hour)
		require.ErrorIs(t, context.Cause(ctx), context.Canceled)

		left, _ := d.Left()
		require.Equal(t, second, left)
	})
}

func TestDeadline_ThatIsStoppedDoesNotPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deadline.Start(second, second, func() { t.Error("it has passed") })

		time.Sleep(550 * milli)
		d.Stop()
		d.Stop()
		time.Sleep(time.Hour)

		left, most := d.Left()
		require.Equal(t, 450*milli, left)
		require.Equal(t, 450*milli, most)
	})
}
