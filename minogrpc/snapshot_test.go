package minogrpc_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

// idle is a handler that reads until its stream ends.
type idle struct{ mino.UnsupportedHandler }

// Stream implements mino.Handler.
func (idle) Stream(_ mino.Sender, in mino.Receiver) error {
	for {
		if _, _, err := in.Recv(context.Background()); err != nil {
			return err
		}
	}
}

// Promise P3: the slow and the frozen player among thirteen nodes stand out in the snapshots, as do
// the handlers that run and what waits for whom.
func TestSnapshot_FindsTheSlowAndTheFrozenNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sessiontest.Cluster(t, 13, sessiontest.WithRPC("work", idle{}, fake.MessageFactory{}))

		ctx, cancel := context.WithCancel(mino.WithProtocol(t.Context(), "test"))
		out, _, err := c.RPC(0, "work").Stream(ctx, c.Players())
		require.NoError(t, err)

		for err := range out.Send(fake.Message("hello"), c.Addresses()...) {
			require.NoError(t, err)
		}

		// The link to a child of a slow node is slow, too.
		leaves := leavesOf(t, c)
		slow, frozen := leaves[0], leaves[1]
		c.Slow(slow, 300*time.Millisecond)
		time.Sleep(2 * session.DefaultLiveness)
		c.Freeze(frozen)
		out.Send(fake.Message("hello"), c.Addresses()...)
		time.Sleep(4 * time.Second)

		all := make(map[string]session.Neighbor)

		for i := range c.Len() {
			for _, child := range childrenOf(t, c, i) {
				all[child.Address] = child
			}
		}

		require.Len(t, all, 12, "all but the root are somebody's child")

		for i := 1; i < c.Len(); i++ {
			child := all[c.Address(i).String()]
			isFrozen := child.Heard > session.DefaultLiveness/3+500*time.Millisecond
			require.Equal(t, i == frozen, isFrozen, "%d was heard %v ago", i, child.Heard)
			require.Equal(t, i == slow, child.RoundTrip >= 300*time.Millisecond, "%d takes %v", i, child.RoundTrip)
		}

		// Its parent waits, too, for what it has passed on.
		require.Equal(t, 4*time.Second, all[c.Address(frozen).String()].Waiting.Oldest)
		requireRoot(t, c.Node(0).(*minogrpc.Minogrpc).Snapshot(), c.Address(0))

		// The goodbye to the frozen node takes its time.
		cancel()
		time.Sleep(5 * time.Second)
		require.Empty(t, c.Node(0).(*minogrpc.Minogrpc).Snapshot().Streams)
		c.Heal(frozen)
	})
}

// requireRoot checks the snapshot of the node that orchestrates the only stream and is its root.
func requireRoot(t *testing.T, snap minogrpc.Snapshot, me mino.Address) {
	t.Helper()

	require.Equal(t, me.String(), snap.Address)
	require.Len(t, snap.Streams, 2)

	for _, st := range snap.Streams {
		if st.Role == host.StreamOrchestrator {
			require.Empty(t, st.Handler)
			require.EqualValues(t, 13+12, st.Outcomes.Delivered)

			continue
		}

		require.Equal(t, host.StreamRoot, st.Role)
		require.Equal(t, host.HandlerRunning, st.Handler)
		require.Equal(t, 2*session.DefaultLiveness+4*time.Second, st.HandlerSince)
	}

	require.Positive(t, snap.Memory.Used)
	require.NotEmpty(t, snap.Memory.Peers)
	require.Positive(t, snap.Dialled)
	require.Positive(t, snap.Accepted)

	data, err := json.Marshal(snap)
	require.NoError(t, err)

	var back minogrpc.Snapshot

	require.NoError(t, json.Unmarshal(data, &back))
	require.True(t, snap.At.Equal(back.At))

	back.At = snap.At
	require.Equal(t, snap, back)
}

// childrenOf returns the neighbours below a player of the only stream.
func childrenOf(t *testing.T, c *sessiontest.Nodes, i int) (children []session.Neighbor) {
	t.Helper()

	for _, st := range c.Node(i).(*minogrpc.Minogrpc).Snapshot().Streams {
		require.Equal(t, "work", st.Procedure)
		require.Equal(t, "test", st.Protocol)

		children = append(children, st.Children...)
	}

	return children
}

// leavesOf returns the players that have no children.
func leavesOf(t *testing.T, c *sessiontest.Nodes) (leaves []int) {
	t.Helper()

	for i := range c.Len() {
		if len(childrenOf(t, c, i)) == 0 {
			leaves = append(leaves, i)
		}
	}

	return leaves
}

// A snapshot prints no address again: what it takes for each stream is the list of the neighbours.
func TestSnapshot_PrintsEachAddressOnce(t *testing.T) {
	if largestMessage < minogrpc.DefaultMaxMessage {
		t.Skip("pools forget under the race detector")
	}

	const streams = 50

	c := sessiontest.Cluster(t, 4, sessiontest.WithRPC("work", idle{}, fake.MessageFactory{}))
	openStreams(t, c, streams)

	node := c.Node(0).(*minogrpc.Minogrpc)
	require.Len(t, node.Snapshot().Streams, 2*streams)
	require.Less(t, testing.AllocsPerRun(10, func() { node.Snapshot() }), 2.0*streams+streams/2)
}

// openStreams opens streams to all players, whose orchestrator and root is node 0.
func openStreams(t testing.TB, c *sessiontest.Nodes, n int) {
	t.Helper()

	for range n {
		out, _, err := c.RPC(0, "work").Stream(t.Context(), c.Players())
		require.NoError(t, err)

		for err := range out.Send(fake.Message("hello"), c.Addresses()...) {
			require.NoError(t, err)
		}
	}
}

// BenchmarkSnapshot takes that of a node with its part in 1,000 streams: it orchestrates half of them, and
// is the root of those with three children.
func BenchmarkSnapshot(b *testing.B) {
	c := sessiontest.Cluster(b, 4, sessiontest.WithRPC("work", idle{}, fake.MessageFactory{}))

	openStreams(b, c, 500)

	node := c.Node(0).(*minogrpc.Minogrpc)
	require.Len(b, node.Snapshot().Streams, 1000)
	b.ReportAllocs()

	for b.Loop() {
		_ = node.Snapshot()
	}
}
