package worlds_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/ptypes"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// Promise P3: a snapshot says what waits for which neighbour and since when, what waits for Recv, in
// which state each neighbour is, and what has become of the messages.
func TestSnapshot_SaysWhatWaitsAndWhere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		// a answers nothing, b is not there, and the orchestrator does not take anything.
		w.peer("a", &sessiontest.Peer{OnForward: sessiontest.NeverAck})

		sess, parent := w.root(addr("root"), w.table(1, addr("root"), addrs("a", "b")...))

		sess.Send(fake.Message("hello"), addr("a"))
		synctest.Wait()
		time.Sleep(time.Second)

		lost := w.outcomes(sess.Send(fake.Message("hello"), addr("b")))
		require.Len(t, lost, 1)
		w.outcomes(sess.Send(fake.Message("to myself"), addr("root")))

		time.Sleep(2 * time.Second)

		snap := sess.(session.Inspector).Snapshot()
		require.Equal(t, "test", snap.Procedure)
		require.Equal(t, "1", snap.Stream)
		require.Equal(t, addr("root").String(), snap.Address)
		require.Equal(t, 3*time.Second, snap.Age)
		require.False(t, snap.Closed)

		require.Len(t, snap.Parents, 1)
		require.Equal(t, parent.GetDistantAddress().String(), snap.Parents[0].Address)
		require.Equal(t, session.NeighborOpen, snap.Parents[0].State)

		require.Len(t, snap.Children, 1, "nobody misses a child that has never answered")
		a := snap.Children[0]
		require.Equal(t, addr("a").String(), a.Address)
		require.Equal(t, session.NeighborOpen, a.State)
		require.False(t, a.Duplex)
		require.Equal(t, 1, a.Waiting.Packets)
		require.Equal(t, 3*time.Second, a.Waiting.Oldest)
		require.Positive(t, a.Waiting.Bytes)
		require.EqualValues(t, 1, a.Sent.Packets)

		require.Equal(t, 1, snap.Queue.Packets)
		require.Equal(t, 2*time.Second, snap.Queue.Oldest)

		require.Equal(t, session.OutcomeCounts{Delivered: 1, Unreachable: 1}, snap.Outcomes)
		require.Len(t, snap.Failures, 1)
		require.Equal(t, session.Failure{
			Ago: 2 * time.Second, Destination: addr("b").String(), Reason: "unreachable",
			Hop: addr("root").String(), Cause: lost[0].Cause.Error(),
		}, snap.Failures[0])

		sess.Close()
		require.True(t, sess.(session.Inspector).Snapshot().Closed)
	})
}

// Promise P3: the state of a duplex link is that of this moment.
func TestSnapshot_FollowsADuplexLink(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		sess, root := w.rooted()
		parent := func() session.Neighbor { return sess.(session.Inspector).Snapshot().Parents[0] }

		time.Sleep(time.Second)
		root.feed(&ptypes.Packet{})
		synctest.Wait()
		time.Sleep(500 * time.Millisecond)

		first := parent()
		require.Equal(t, session.NeighborOpen, first.State)
		require.True(t, first.Duplex)
		require.Equal(t, 500*time.Millisecond, first.Heard)
		require.Zero(t, first.Waiting)
		require.Zero(t, first.Sent)

		// The neighbour takes the message, gives no outcome, and is gone for a while.
		back := make(chan struct{})
		root.refuse = func(context.Context) error {
			<-back

			return nil
		}

		sess.Send(fake.Message("hello"), addr("b"))
		root.current().End(errLost)
		time.Sleep(time.Second)

		broken := parent()
		require.Equal(t, session.NeighborBroken, broken.State)
		require.Equal(t, 1, broken.Waiting.Packets)
		require.Equal(t, time.Second, broken.Waiting.Oldest)
		require.EqualValues(t, 1, broken.Sent.Packets)

		close(back)
		synctest.Wait()
		require.Equal(t, session.NeighborOpen, parent().State)

		root.send(1, session.NewOrchestratorAddress(addr("o")))
		synctest.Wait()
		require.EqualValues(t, 1, parent().Received.Packets)
		require.Positive(t, parent().Received.Bytes)
	})
}

// Promise P3: a snapshot is bounded, whatever happens in the stream.
func TestSnapshot_IsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const players = 300

		names := make([]string, players)
		for i := range names {
			names[i] = fmt.Sprintf("n%03d", i)
			w.peer(names[i], &sessiontest.Peer{OnForward: func(context.Context, *ptypes.Packet) (*ptypes.Ack, error) {
				return &ptypes.Ack{}, nil
			}})
		}

		sess, _ := w.root(addr("root"), w.table(1, addr("root"), addrs(names...)...))
		require.Empty(t, w.outcomes(sess.Send(fake.Message("hello"), addrs(names...)...)))

		for range 100 {
			w.outcomes(sess.Send(fake.Message("hello"), mino.Address(addr("stranger"))))
		}

		snap := sess.(session.Inspector).Snapshot()
		require.Len(t, snap.Children, 256)
		require.Equal(t, players-256, snap.MoreChildren)
		require.Len(t, snap.Failures, 16)
		require.EqualValues(t, 100, snap.Outcomes.NoRoute+snap.Outcomes.Unreachable)
		require.EqualValues(t, players, snap.Outcomes.Delivered)
	})
}

// The names in JSON are those of the documentation.
func TestSnapshot_JSON(t *testing.T) {
	data, err := json.Marshal(session.Snapshot{
		Procedure: "p", Stream: "s", Protocol: "t", Address: "n",
		Parents: []session.Neighbor{{Address: "o", State: session.NeighborOpen, Heard: 7}},
		Failures: []session.Failure{
			{Ago: 1, Destination: "d", Reason: "timeout", Hop: "h", HeardFrom: "f", Cause: "c"},
		},
		Losses: []session.KnownLoss{{Ago: 1, Node: "d", Noticed: true, Cause: "c"}, {Node: "e", HeardFrom: "f"}},
	})
	require.NoError(t, err)
	require.JSONEq(t, `{
		"procedure": "p", "stream": "s", "protocol": "t", "address": "n", "age_ns": 0,
		"parents": [{
			"address": "o", "state": "open", "heard_ns": 7, "waiting": {"packets": 0, "bytes": 0},
			"sent": {"packets": 0, "bytes": 0}, "received": {"packets": 0, "bytes": 0}
		}],
		"queue": {"packets": 0, "bytes": 0},
		"outcomes": {
			"delivered": 0, "no_route": 0, "unreachable": 0, "overflow": 0, "timeout": 0, "closed": 0, "rejected": 0
		},
		"failures": [
			{"ago_ns": 1, "destination": "d", "reason": "timeout", "hop": "h", "heard_from": "f", "cause": "c"}
		],
		"losses": [
			{"ago_ns": 1, "node": "d", "noticed": true, "cause": "c"},
			{"ago_ns": 0, "node": "e", "heard_from": "f", "cause": ""}
		]
	}`, string(data))
}
