package host_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
)

// ending is what an observer was told of the end of a handler.
type ending struct {
	stream session.StreamInfo
	err    string
	took   time.Duration
}

// Promise P3: the observer is told when a handler of a stream or a call begins and ends, with its error.
func TestObserver_IsToldOfHandlers(t *testing.T) {
	inWorld(t, func(w *world) {
		var (
			mu      sync.Mutex
			started []session.StreamInfo
			ended   []ending
		)

		observer := host.WithObserver(host.Observer{
			HandlerStarted: func(s session.StreamInfo) {
				mu.Lock()
				defer mu.Unlock()

				started = append(started, s)
			},
			HandlerEnded: func(s session.StreamInfo, err error, took time.Duration) {
				mu.Lock()
				defer mu.Unlock()

				ended = append(ended, ending{s, err.Error(), took})
			},
		})

		player := w.start("player:1", handler{
			stream: func(_ mino.Sender, in mino.Receiver) error {
				_, _, _ = in.Recv(context.Background())
				time.Sleep(2 * time.Second)

				return errors.New("no more")
			},
			process: func(mino.Request) (serde.Message, error) { panic("at once") },
		}, observer)

		orchestrator := w.start("o:1", handler{})
		ctx, cancel := context.WithCancel(mino.WithProtocol(w.Context(), "tag"))

		defer cancel()

		out, _, err := orchestrator.test.Stream(ctx, players(player))
		require.NoError(t, err)

		for err := range out.Send(text("hello"), player.GetAddress()) {
			require.NoError(t, err)
		}

		time.Sleep(3 * time.Second)

		_, err = player.test.Process(w.Context(), orchestrator.me, []byte("question"))
		require.ErrorContains(t, err, "at once")
		synctest.Wait()

		mu.Lock()
		defer mu.Unlock()

		require.Len(t, started, 2)
		require.Len(t, ended, 2)
		require.Equal(t, player.GetAddress(), started[0].Node)
		require.Equal(t, "test", started[0].Procedure)
		require.Equal(t, "tag", started[0].Protocol)
		require.NotEmpty(t, started[0].Stream)
		require.Equal(t, ending{started[0], "no more", 2 * time.Second}, ended[0])
		require.Equal(t, session.StreamInfo{Node: player.GetAddress(), Procedure: "test"}, started[1])
		require.Contains(t, ended[1].err, "panic: at once")
	})
}
