package host_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Promise L3: a stop says what it leaves behind, the oldest first, and not without bound.
func TestStop_NamesWhatStillRuns(t *testing.T) {
	inWorld(t, func(w *world) {
		release := make(chan struct{})
		a := w.node("a:1", handler{
			stream: func(mino.Sender, mino.Receiver) error { <-release; return nil },
			process: func(mino.Request) (serde.Message, error) {
				<-release

				return nil, nil
			},
		})

		var processed error

		go func() { _, processed = a.test.Process(w.Context(), session.NewAddress("grpc://b:1"), nil) }()

		time.Sleep(time.Second)

		for i := range 11 {
			_, err := w.open(a, as("FAstranger:1", fmt.Sprintf("stream%d", i))...)
			require.NoError(w, err)
			time.Sleep(time.Second)
		}

		begin := time.Now()
		err := a.Stop(4*time.Second, a.server)
		require.Equal(w, 5*time.Second, time.Since(begin))

		running, ok := errors.AsType[*host.RunningError](err)
		require.True(w, ok, err)
		require.Len(w, running.Oldest, 10)
		require.Equal(w, 2, running.More)
		require.Equal(w, "stream8", running.Oldest[9].Stream)
		require.True(w, strings.HasPrefix(err.Error(), `12 tasks of the node have not ended: `+
			`call handler of "test" for 17s, handler of "test" in stream "stream0" for 16s, `), err.Error())
		require.True(w, strings.HasSuffix(err.Error(), `, and 2 more`), err.Error())
		require.Equal(w, err, a.Stop(0, a.server), "the second stop says the same")

		close(release)
		synctest.Wait()
		require.NoError(w, processed)
	})
}

func TestStop_HurriesAnotherStop(t *testing.T) {
	inWorld(t, func(w *world) {
		release := make(chan struct{})
		a := w.node("a:1", handler{stream: func(mino.Sender, mino.Receiver) error { <-release; return nil }})
		_, err := w.open(a, as("FAstranger:1", "1")...)
		require.NoError(w, err)

		begin := time.Now()
		slow := make(chan error)

		go func() { slow <- a.Stop(time.Hour, a.server) }()

		time.Sleep(time.Minute)
		require.Error(w, a.Stop(time.Second, a.server))
		require.Error(w, <-slow)
		require.Equal(w, time.Minute+2*time.Second, time.Since(begin))
		close(release)
	})
}

func TestStop_HostTakesNothingMore(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.node("a:1", echo)
		require.NoError(w, a.Serving())
		require.NoError(w, a.stop())

		_, _, err := a.test.Stream(w.Context(), players(a))
		require.ErrorIs(w, err, host.ErrStopped)
		_, err = a.test.Process(w.Context(), a.me, nil)
		require.Equal(w, codes.Unavailable, status.Code(err))
		require.Equal(w, codes.Unavailable, status.Code(a.Serving()))
		require.False(w, a.Go(host.Task{Name: "late"}, func() { panic("it has been stopped") }))
		require.ErrorIs(w, context.Cause(a.Stopping()), host.ErrStopped)
		require.ErrorIs(w, context.Cause(a.Hurried()), host.ErrStopped)
	})
}

// Promise L3: a stop waits for what the overlay runs itself, and hurries it.
func TestStop_WaitsForTasksOfTheOverlay(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.node("a:1", echo)
		require.True(w, a.Go(host.Task{Name: "patient"}, func() { <-a.Hurried().Done() }))

		begin := time.Now()
		require.NoError(w, a.stop())
		require.Equal(w, 2*time.Second, time.Since(begin))
	})
}
