package minogrpc_test

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
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/sessiontest"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// told is what the logs and the observers of all nodes were told.
type told struct {
	mu     sync.Mutex
	log    bytes.Buffer
	losses []toldLoss
}

// Write implements io.Writer.
func (w *told) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.log.Write(line)
}

// toldLoss is the loss that a node was told.
type toldLoss struct {
	session.Loss

	by session.StreamInfo
}

// options give the nodes a log and an observer.
func (w *told) options() sessiontest.ClusterOption {
	return sessiontest.WithMinogrpc(
		minogrpc.WithLogger(zerolog.New(w).Level(zerolog.DebugLevel)),
		minogrpc.WithSessionOptions(session.WithObserver(session.Observer{
			LossKnown: func(by session.StreamInfo, loss session.Loss) {
				w.mu.Lock()
				defer w.mu.Unlock()

				w.losses = append(w.losses, toldLoss{loss, by})
			},
		})),
	)
}

// lines returns the log, a line each.
func (w *told) lines(t *testing.T) []map[string]any {
	t.Helper()

	w.mu.Lock()
	defer w.mu.Unlock()

	var all []map[string]any

	for line := range bytes.Lines(w.log.Bytes()) {
		var fields map[string]any

		require.NoError(t, json.Unmarshal(line, &fields), "%s", line)
		all = append(all, fields)
	}

	return all
}

// parentsOf returns the index of the node above each player of the only stream, and -1 for the root.
func parentsOf(t *testing.T, c *sessiontest.Nodes) []int {
	t.Helper()

	above := make([]int, c.Len())
	above[0] = -1

	for i := range c.Len() {
		for _, child := range childrenOf(t, c, i) {
			for j := range c.Len() {
				if c.Address(j).String() == child.Address {
					above[j] = i
				}
			}
		}
	}

	return above
}

// requireNoticedOnce checks that only the node above has noticed that a node is lost, in the log, by the
// observer and in the snapshot, and that those who have heard of it say from whom.
func requireNoticedOnce(t *testing.T, c *sessiontest.Nodes, w *told, lost int, above mino.Address) {
	t.Helper()

	name, by := c.Address(lost).String(), above.String()

	w.mu.Lock()
	defer w.mu.Unlock()

	noticed := 0

	for _, l := range w.losses {
		require.Equal(t, name, l.Node.String(), "nobody else is lost")
		require.Error(t, l.Cause)

		if l.IsNoticed() {
			noticed++
			require.Equal(t, by, l.by.Node.String())
		} else {
			require.NotEqual(t, c.Address(lost), l.From)
		}
	}

	require.Equal(t, 1, noticed, "%v", w.losses)

	noticed = 0

	for i := range c.Len() {
		if i == lost {
			continue
		}

		for _, st := range c.Node(i).(*minogrpc.Minogrpc).Snapshot().Streams {
			for _, l := range st.Losses {
				require.Equal(t, name, l.Node)
				require.Equal(t, l.Noticed, l.HeardFrom == "")
				require.NotEmpty(t, l.Cause)

				if l.Noticed {
					noticed++
					require.Equal(t, by, st.Address)
				}
			}

			for _, f := range st.Failures {
				require.Equal(t, f.Hop == st.Address, f.HeardFrom == "", "%+v of %s", f, st.Address)
			}
		}
	}

	require.Equal(t, 1, noticed)
}

// Promise P3: one node notices the loss of a player, and all others that know of it say from whom they have
// heard. Each line of the log says which node, procedure, stream and tag it is about.
func TestLoss_IsNoticedByOneNode(t *testing.T) {
	for name, isLeaf := range map[string]bool{"leaf": true, "with nodes below": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w told

				c := sessiontest.Cluster(t, 40, w.options(), sessiontest.WithRPC("work", idle{}, fake.MessageFactory{}))
				out, cancel := newsOf(t, c, c.Players())
				above := parentsOf(t, c)
				lost := inTheMiddle(above, isLeaf)
				c.Kill(lost)

				// Some of these meet the loss, and some come after it.
				for range 5 {
					failed := 0
					for range out.Send(fake.Message("again"), c.Addresses()...) {
						failed++
					}

					require.LessOrEqual(t, failed, 1+40/5, "the lost node, and those below it at most")
					time.Sleep(time.Second)
				}

				time.Sleep(time.Minute)
				requireNoticedOnce(t, c, &w, lost, c.Address(above[lost]))
				requireHeard(t, c, lost, above)

				cancel()
				time.Sleep(5 * time.Second)
				requireIdentity(t, &w, c.Address(lost), c.Address(above[lost]))
			})
		})
	}
}

// Promise P3: the orchestrator notices the loss of its root. The nodes below lose their parent and speak of no
// loss.
func TestLoss_OfTheRootIsNoticedByTheOrchestrator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w told

		c := sessiontest.Cluster(t, 13, w.options(), sessiontest.WithRPC("work", idle{}, fake.MessageFactory{}))
		newsOf(t, c, mino.NewAddresses(c.Addresses()[1:]...))

		orchestrator := session.NewOrchestratorAddress(c.Address(0).(session.Address))
		root := c.Address(1)

		c.Kill(1)
		time.Sleep(time.Minute)

		w.mu.Lock()
		require.Len(t, w.losses, 1)
		require.Equal(t, toldLoss{session.Loss{Node: root, Cause: w.losses[0].Cause}, w.losses[0].by}, w.losses[0])
		require.Equal(t, mino.Address(orchestrator), w.losses[0].by.Node)
		w.mu.Unlock()

		requireIdentity(t, &w, root, orchestrator)
	})
}

// newsOf opens a stream with news, and sends to each player.
func newsOf(t *testing.T, c *sessiontest.Nodes, players mino.Players) (mino.Sender, func()) {
	t.Helper()

	ctx, cancel := context.WithCancel(mino.WithNews(mino.WithProtocol(t.Context(), "test")))
	t.Cleanup(cancel)

	out, _, err := c.RPC(0, "work").Stream(ctx, players)
	require.NoError(t, err)

	var all []mino.Address
	for it := players.AddressIterator(); it.HasNext(); {
		all = append(all, it.GetNext())
	}

	for err := range out.Send(fake.Message("hello"), all...) {
		require.NoError(t, err)
	}

	return out, cancel
}

// inTheMiddle returns a player that is no child of the root, with nodes below or without.
func inTheMiddle(above []int, isLeaf bool) int {
	below := make([]int, len(above))

	for _, j := range above {
		if j >= 0 {
			below[j]++
		}
	}

	for i, j := range above {
		if j > 0 && (below[i] == 0) == isLeaf {
			return i
		}
	}

	return -1
}

// requireHeard checks that those have heard of a loss who must: the orchestrator and the root, and the nodes that were
// below the lost one.
func requireHeard(t *testing.T, c *sessiontest.Nodes, lost int, above []int) {
	t.Helper()

	heard := make(map[string]bool)

	for i := range c.Len() {
		if i == lost {
			continue
		}

		for _, st := range c.Node(i).(*minogrpc.Minogrpc).Snapshot().Streams {
			heard[st.Address] = len(st.Losses) == 1 && !st.Losses[0].Noticed
		}
	}

	require.True(t, heard[session.NewOrchestratorAddress(c.Address(0).(session.Address)).String()])
	require.True(t, heard[c.Address(0).String()])

	for i, j := range above {
		if j == lost {
			require.True(t, heard[c.Address(i).String()], "%d was below", i)
		}
	}
}

// requireIdentity checks what each line of the log says about where it belongs.
func requireIdentity(t *testing.T, w *told, lost, above mino.Address) {
	t.Helper()

	noticed := 0

	for _, line := range w.lines(t) {
		require.NotEmpty(t, line["node"], "%v", line)

		switch line["message"] {
		case "server failed", "dial failed", "certificate learned":
			continue // It is about no stream.
		case "relay lost":
			require.Equal(t, "warn", line["level"])
			require.Equal(t, true, line["noticed"])
			require.Equal(t, lost.String(), line["peer"], "%v", line)
			require.Equal(t, above.String(), line["node"])

			noticed++
		case "heard of a loss", "heard of a dropped packet":
			require.NotEmpty(t, line["from"])
		}

		require.Equal(t, "work", line["rpc"], "%v", line)
		require.NotEmpty(t, line["stream"], "%v", line)
		require.Equal(t, "test", line["protocol"], "%v", line)
	}

	require.Equal(t, 1, noticed)
}
