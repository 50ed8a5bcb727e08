package minogrpc_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/serde"
	"github.com/stretchr/testify/require"
)

// contextual implements mino.ContextHandler. It answers each message and tells what it knows. At the end of
// its context it tells the cause.
type contextual struct {
	mino.UnsupportedHandler

	infos  chan mino.Info
	causes chan error
	// deadlines are how much time the calls have.
	deadlines chan time.Duration
}

func newContextual(players int) contextual {
	return contextual{
		infos:     make(chan mino.Info, players),
		causes:    make(chan error, players),
		deadlines: make(chan time.Duration, players),
	}
}

func (h contextual) StreamContext(ctx context.Context, out mino.Sender, in mino.Receiver) error {
	for {
		from, msg, err := in.Recv(ctx)
		if err != nil {
			<-ctx.Done()
			h.causes <- context.Cause(ctx)

			return err
		}

		info, _ := mino.InfoOf(ctx)
		h.infos <- info

		out.Send(msg, from)
	}
}

func (h contextual) ProcessContext(ctx context.Context, req mino.Request) (serde.Message, error) {
	info, _ := mino.InfoOf(ctx)
	h.infos <- info

	deadline, _ := ctx.Deadline()
	h.deadlines <- time.Until(deadline)

	<-ctx.Done()
	h.causes <- context.Cause(ctx)

	return req.Message, nil
}

// Promise P1: every handler is told in which stream it is and where in the tree, and its context ends with the
// stream and says why.
func TestContext_OfAStream(t *testing.T) {
	const players = 7 // So that one is below another.

	h := newContextual(players)
	nodes, rpc := startAll(t, players, h, transport())

	ctx, cancel := context.WithCancel(mino.WithProtocol(withContext(t), "tag"))
	defer cancel()

	out, in, err := rpc.Stream(ctx, playersOf(nodes...))
	require.NoError(t, err)

	told := make(map[mino.Address]mino.Info)

	for _, node := range nodes {
		requireEchoes(t, out, in, node)
		info := <-h.infos
		told[info.Address] = info
	}

	me := nodes[0].GetAddress()

	for _, addr := range addressesOf(nodes...) {
		require.Equal(t, told[me].Stream, told[addr].Stream)
		require.Equal(t, rpcName, told[addr].Procedure)
		require.Equal(t, "tag", told[addr].Protocol)
		require.Equal(t, me, told[addr].Orchestrator)
	}

	interior, leaf := nodes[players-2].GetAddress(), nodes[players-1].GetAddress()
	require.Equal(t, me, told[me].Parent, "this node is the orchestrator and the root")
	require.Equal(t, me, told[interior].Parent)
	require.Equal(t, interior, told[leaf].Parent)

	cancel()

	for range nodes {
		require.ErrorIs(t, <-h.causes, io.EOF)
	}
}

// Promise P1: the handler of a call has the deadline of the caller, and learns that the caller has gone. So it
// does where a node calls itself.
func TestContext_OfACall(t *testing.T) {
	h := newContextual(2)
	nodes, rpc := startAll(t, 2, h, transport())

	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()

	responses, err := rpc.Call(ctx, text("hello"), playersOf(nodes...))
	require.NoError(t, err)

	called := make(map[mino.Address]mino.Info)

	for range nodes {
		info := <-h.infos
		called[info.Address] = info

		left := <-h.deadlines
		require.Positive(t, left)
		require.LessOrEqual(t, left, time.Hour)
	}

	for _, node := range nodes {
		require.Equal(t, mino.Info{
			Procedure: rpcName, Orchestrator: nodes[0].GetAddress(), Address: node.GetAddress(),
		}, called[node.GetAddress()])
	}

	cancel()

	for range nodes {
		require.Equal(t, context.Canceled, <-h.causes)
	}

	for resp := range responses {
		_, err := resp.GetMessageOrError()
		require.ErrorIs(t, err, context.Canceled)
	}
}
