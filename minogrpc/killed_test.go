//go:build unix

package minogrpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/stretchr/testify/require"
)

// mortal is a player in a process of its own, which writes down what its handler receives.
type mortal struct {
	addr mino.Address
	cmd  *exec.Cmd
	// lines are what it writes, until it is dead.
	lines chan text

	// sent are the messages for it, with their outcomes, and handled those that it has received.
	sent    map[text]<-chan error
	handled []text
}

// startMortal starts a player without TLS.
func startMortal(t *testing.T, links string) *mortal {
	t.Helper()

	cmd := exec.CommandContext(t.Context(), os.Args[0], "-tls=false", "-record", "-links="+links)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	told := json.NewDecoder(out)
	v := &mortal{cmd: cmd, lines: make(chan text), sent: make(map[text]<-chan error)}

	t.Cleanup(v.kill)

	var id identity

	err = errors.Join(json.NewEncoder(in).Encode([]identity{}), told.Decode(&id))
	v.addr = minogrpc.NewAddressFactory().FromText(id.Address)

	go func() {
		defer close(v.lines)

		for msg := text(""); err == nil && told.Decode(&msg) == nil; {
			v.lines <- msg
		}
	}()

	require.NoError(t, err)

	return v
}

// kill ends the process without a word, and waits for its end.
func (v *mortal) kill() {
	_ = v.cmd.Process.Kill() // It may be dead already.

	// What it has written is read before: the end of the process closes the pipe.
	for msg := range v.lines {
		v.handled = append(v.handled, msg)
	}

	_ = v.cmd.Wait()
}

func (v *mortal) send(out mino.Sender) {
	msg := text(fmt.Sprint("message ", len(v.sent)))
	v.sent[msg] = out.Send(msg, v.addr)
}

// die sends messages to the player, and kills it when its handler has received some of them: at
// once, or a little later, while others are under way.
func (v *mortal) die(out mino.Sender) {
	for range 1 + rand.IntN(4) {
		v.send(out)

		select {
		case msg := <-v.lines:
			v.handled = append(v.handled, msg)
		case <-time.After(3 * time.Second): // A parent of it is dead, and the message has got lost.
		}
	}

	for range rand.IntN(3) {
		v.send(out)
	}

	time.Sleep(rand.N(500 * time.Microsecond)) // The point of the kill is random.
	v.kill()
}

// reasonOf returns what the sender has been told about a message, or false if it was delivered.
func reasonOf(t *testing.T, outcome <-chan error) (session.Reason, bool) {
	t.Helper()

	err := <-outcome
	if err == nil {
		return 0, false
	}

	failure, ok := errors.AsType[*session.DeliveryError](err)
	require.True(t, ok, "%v", err)

	return failure.Reason, true
}

// Promise O7: what a process has handled before it was killed is told as delivered or as timeout,
// and never as lost. Who was dead before the Send is unreachable.
func TestProcess_KilledRightAfterItHandled(t *testing.T) {
	for _, links := range []string{duplexLinks, unicastLinks} {
		t.Run(links, func(t *testing.T) {
			opts := []minogrpc.Option{
				minogrpc.NoTLS(), minogrpc.WithSessionOptions(session.WithResumeTimeout(time.Second / 2)),
			}
			if links == unicastLinks {
				opts = append(opts, minogrpc.WithoutDuplex())
			}

			auditKilled(t, links, opts)
		})
	}
}

// requireTrue asserts that of what dead players have handled the sender was told that it was
// delivered, or that nobody knows. It returns how much that is.
func requireTrue(t *testing.T, mortals []*mortal) (handled int) {
	t.Helper()

	for _, v := range mortals {
		handled += len(v.handled)

		for _, msg := range v.handled {
			reason, failed := reasonOf(t, v.sent[msg])
			require.True(t, !failed || reason == session.ReasonTimeout, "%v of %v: %v", msg, v.addr, reason)
		}
	}

	return handled
}

// auditKilled kills seven players below a root that lives, and compares what was told with what they
// have written down.
func auditKilled(t *testing.T, links string, opts []minogrpc.Option) {
	t.Helper()

	const players = 7

	var rpc mino.RPC

	nodes := make([]*minogrpc.Minogrpc, 2)
	for i := range nodes {
		node, err := impatientNode(opts...)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, node.Stop()) })

		nodes[i] = node
		rpc = mino.MustCreateRPC(node, rpcName, echo, texts{})
	}

	mortals := make([]*mortal, players+1)
	addrs := addressesOf(nodes[0])

	for i := range mortals {
		mortals[i] = startMortal(t, links)
		addrs = append(addrs, mortals[i].addr)
	}

	dead := mortals[players]
	mortals = mortals[:players]

	dead.kill()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	out, _, err := rpc.Stream(ctx, mino.NewAddresses(addrs...))
	require.NoError(t, err)

	reason, failed := reasonOf(t, out.Send(text("to nobody"), dead.addr))
	require.True(t, failed)
	require.Equal(t, session.ReasonUnreachable, reason)

	var dying sync.WaitGroup

	for _, v := range mortals {
		dying.Go(func() { v.die(out) })
	}

	dying.Wait()

	require.GreaterOrEqual(t, requireTrue(t, mortals), players/2)

	// Of the last ones the root may not have read the end yet, and hand a message over in vain.
	for _, v := range mortals {
		_, failed := reasonOf(t, out.Send(text("too late"), v.addr))
		require.True(t, failed)
	}

	for _, v := range slices.Concat(mortals, []*mortal{dead}) {
		reason, failed := reasonOf(t, out.Send(text("much too late"), v.addr))
		require.True(t, failed)
		require.Equal(t, session.ReasonUnreachable, reason, "%v", v.addr)
	}
}
