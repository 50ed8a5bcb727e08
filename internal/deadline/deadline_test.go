package deadline_test

import (
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

func TestDeadline_ThatIsStoppedDoesNotPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := deadline.Start(second, second, func() { t.Error("it has passed") })

		time.Sleep(550 * milli)
		d.Stop()
		d.Stop()
		time.Sleep(time.Hour)

		left, most := d.Left()
		require.Equal(t, second/2, left)
		require.Equal(t, second/2, most)
	})
}
