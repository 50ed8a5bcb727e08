package worlds_test

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// Promise P3: each line of the log and each call of the observer says which stream of which node it is
// about.
func TestObserver_IsToldWhichStream(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var (
			log  bytes.Buffer
			mu   sync.Mutex
			told []session.StreamInfo
		)

		note := func(s session.StreamInfo) {
			mu.Lock()
			defer mu.Unlock()

			told = append(told, s)
		}

		sess, _ := w.root(addr("root"), w.table(1, addr("root"), addr("a")),
			session.WithLogger(zerolog.New(zerolog.SyncWriter(&log))),
			session.WithObserver(session.Observer{
				RelayOpened: func(s session.StreamInfo, _ mino.Address) { note(s) },
				RelayLost:   func(s session.StreamInfo, _ mino.Address, _ error) { note(s) },
			}),
		)

		w.outcomes(sess.Send(fake.Message("hello"), addr("a")))
		synctest.Wait()

		mu.Lock()
		defer mu.Unlock()
		require.Len(t, told, 2, "the parent has been registered, and the child was not there")

		for _, s := range told {
			require.Equal(t, session.StreamInfo{Node: addr("root"), Procedure: "test", Stream: "1"}, s)
		}

		require.Contains(t, log.String(), "connection refused", "the log says all that is known")

		lines := bytes.Split(bytes.TrimSpace(log.Bytes()), []byte("\n"))
		require.GreaterOrEqual(t, len(lines), 3)

		for _, line := range lines {
			var fields map[string]any

			require.NoError(t, json.Unmarshal(line, &fields))
			require.Equal(t, addr("root").String(), fields["node"], "%s", line)
			require.Equal(t, "test", fields["rpc"], "%s", line)
			require.Equal(t, "1", fields["stream"], "%s", line)
		}
	})
}

// Promise P3: the observer is told each outcome of a message of this node, with its latency, and none
// of a message that only passes.
func TestObserver_IsToldOutcomesAndLatencies(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var (
			mu   sync.Mutex
			told []session.Outcome
		)

		w.peer("slow", &sessiontest.Peer{OnForward: func(context.Context, *ptypes.Packet) (*ptypes.Ack, error) {
			time.Sleep(3 * time.Second)

			return &ptypes.Ack{}, nil
		}})

		sess, _ := w.root(addr("root"), w.table(1, addr("root"), addr("slow")), session.WithObserver(session.Observer{
			OutcomeKnown: func(s session.StreamInfo, o session.Outcome) {
				mu.Lock()
				defer mu.Unlock()

				told = append(told, o)

				if s.Stream != "1" {
					t.Errorf("told of the stream %q", s.Stream)
				}
			},
		}))

		w.outcomes(sess.Send(fake.Message("hello"), addr("slow"), addr("root"), addr("stranger")))
		_, err := sess.RecvPacket(addr("orchestrator"), w.packet(addr("x"), addr("root")))
		require.NoError(t, err)
		synctest.Wait()

		mu.Lock()
		defer mu.Unlock()
		require.Len(t, told, 3)

		byDest := make(map[mino.Address]session.Outcome)
		for _, o := range told {
			byDest[o.Destination] = o
		}

		require.Equal(t, session.Outcome{Destination: addr("slow"), Latency: 3 * time.Second}, byDest[addr("slow")])
		require.Equal(t, session.Outcome{Destination: addr("root")}, byDest[addr("root")])
		require.Equal(t, session.ReasonNoRoute, byDest[addr("stranger")].Err.Reason)
	})
}
