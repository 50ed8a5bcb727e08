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

// handlerNews is what an observer was told of handlers.
type handlerNews struct {
	mu      sync.Mutex
	started []session.StreamInfo
	ended   []ending
}

func (n *handlerNews) observer() host.Observer {
	return host.Observer{
		HandlerStarted: func(s session.StreamInfo) {
			n.mu.Lock()
			defer n.mu.Unlock()

			n.started = append(n.started, s)
		},
		HandlerEnded: func(s session.StreamInfo, err error, took time.Duration) {
			n.mu.Lock()
			defer n.mu.Unlock()

			n.ended = append(n.ended, ending{s, err.Error(), took})
		},
	}
}

// Promise P3: the observer is told when a handler of a stream or a call begins and ends, with its error.
func TestObserver_IsToldOfHandlers(t *testing.T) {
	inWorld(t, func(w *world) {
		told := &handlerNews{}
		player := w.start("player:1", handler{
			stream: func(_ mino.Sender, in mino.Receiver) error {
				_, _, _ = in.Recv(context.Background())
				time.Sleep(2 * time.Second)

				return errors.New("no more")
			},
			process: func(mino.Request) (serde.Message, error) { panic("at once") },
		}, host.WithObserver(told.observer()))

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

		told.mu.Lock()
		defer told.mu.Unlock()

		started, ended := told.started, told.ended
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
