//go:build unix

package minogrpc_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/certs"
	"github.com/stretchr/testify/require"
)

// startChild runs a node in a process of its own, with flags. It returns its address,
// and the function that sends it a signal.
func startChild(t *testing.T, flags ...string) (mino.Address, func(os.Signal)) {
	t.Helper()

	// The context of the test would end it before it has stopped.
	flags = append(flags, "-tls="+strconv.FormatBool(*tlsFlag))
	cmd := exec.CommandContext(context.Background(), os.Args[0], flags...)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Stderr = os.Stderr

	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())

	signal := func(s os.Signal) {
		require.NoError(t, cmd.Process.Signal(s))

		if s == syscall.SIGSTOP {
			var status syscall.WaitStatus

			// It is not stopped at once.
			_, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
			require.NoError(t, err)
			require.True(t, status.Stopped())
		}
	}

	t.Cleanup(func() {
		signal(syscall.SIGCONT)
		require.NoError(t, in.Close())
		require.NoError(t, cmd.Wait())
	})

	require.NoError(t, json.NewEncoder(in).Encode(knownNodes(t)))

	var child identity

	require.NoError(t, json.NewDecoder(out).Decode(&child))

	addr := minogrpc.NewAddressFactory().FromText(child.Address)
	if *tlsFlag {
		require.NoError(t, known.Store(addr, child.Chain))
	}

	return addr, signal
}

// knownNodes returns the nodes with a certificate.
func knownNodes(t *testing.T) []identity {
	t.Helper()

	nodes := make([]identity, 0)
	err := known.Range(func(addr mino.Address, chain certs.CertChain) bool {
		nodes = append(nodes, identity{[]byte(textsOf(addr)[0]), chain})

		return true
	})
	require.NoError(t, err)

	return nodes
}

// watched is a tree on loopback with a node that is a process of its own. It is
// the second of the players, which makes it the first child of the root and gives
// it players to look after.
type watched struct {
	rpc     mino.RPC
	child   mino.Address
	players []mino.Address
	signal  func(os.Signal)

	// lost counts the neighbours that the others have given up.
	lost atomic.Int32
}

// newWatched returns a tree whose nodes have the links of this run.
func newWatched(t *testing.T) *watched {
	t.Helper()

	return newWatchedTree(t, linked, "-links="+*linksFlag)
}

// newWatchedTree returns a tree of nodes with those options. The flags are those of the
// child.
func newWatchedTree(t *testing.T, options func([]minogrpc.Option) []minogrpc.Option, flags ...string) *watched {
	t.Helper()

	w := &watched{}
	counted := minogrpc.WithSessionOptions(session.WithObserver(session.Observer{
		RelayLost: func(session.StreamInfo, mino.Address, error) { w.lost.Add(1) },
	}))
	nodes := make([]*minogrpc.Minogrpc, 13)

	for i := range nodes {
		node, err := impatientNode(options([]minogrpc.Option{counted})...)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, node.Stop()) })

		nodes[i] = node
		w.rpc = mino.MustCreateRPC(node, rpcName, echo, texts{})
	}

	w.child, w.signal = startChild(t, flags...)
	w.players = append([]mino.Address{nodes[0].GetAddress(), w.child}, addressesOf(nodes[1:]...)...)

	return w
}

// newDuplexTree returns a tree with duplex links, and with bounds of the silence for the
// nodes of this process and for the child.
func newDuplexTree(t *testing.T, ours, theirs time.Duration) *watched {
	t.Helper()

	return newWatchedTree(t, func(opts []minogrpc.Option) []minogrpc.Option {
		// A child that is silent is lost before the outcomes are due.
		return append(opts, silentFor(ours), minogrpc.WithSessionOptions(session.WithResumeTimeout(ours/5)))
	}, "-links="+duplexLinks, "-liveness="+theirs.String())
}

// open returns a stream to all the players.
func (w *watched) open(t *testing.T) (mino.Sender, mino.Receiver) {
	t.Helper()

	out, in, err := w.rpc.Stream(withContext(t), mino.NewAddresses(w.players...))
	require.NoError(t, err)

	return out, in
}

// requireAvoided sends to all the players, of which only the stopped child is not
// reached.
func (w *watched) requireAvoided(t *testing.T, out mino.Sender, reason session.Reason) {
	t.Helper()

	require.Equal(t, map[string]session.Reason{w.child.String(): reason},
		reasonsOf(t, out.Send(text("meanwhile"), w.players...)))
}

// requireFoundAgain lets the stopped child go on, which then is reached again.
func (w *watched) requireFoundAgain(t *testing.T, out mino.Sender, in mino.Receiver) {
	t.Helper()

	w.signal(syscall.SIGCONT)
	require.Eventually(t, func() bool { return <-out.Send(text("again"), w.child) == nil },
		3*time.Second, 10*time.Millisecond)
	requireAnswers(t, out, in, "after", w.players)
}

// Promise L1: a process that is stopped for longer than any deadline, and goes on,
// is where it was. Nobody is declared lost, and the same stream goes on.
func TestProcess_StoppedAndContinued(t *testing.T) {
	w := newWatched(t)

	out, in := w.open(t)
	requireAnswers(t, out, in, "before", w.players)

	w.signal(syscall.SIGSTOP)

	reasons := reasonsOf(t, out.Send(text("meanwhile"), w.players...))
	require.Greater(t, len(reasons), 1, "the child has nobody behind it")
	require.Contains(t, reasons, w.child.String())

	for _, reason := range reasons {
		require.Equal(t, session.ReasonTimeout, reason)
	}

	w.signal(syscall.SIGCONT)
	requireAnswers(t, out, in, "after", w.players)
	require.Zero(t, w.lost.Load())
}

// Promise L3: who opens a stream to a process that is stopped goes around it, and
// finds it again when it goes on.
func TestProcess_FoundAgain(t *testing.T) {
	w := newWatched(t)
	w.signal(syscall.SIGSTOP)

	out, in := w.open(t)
	w.requireAvoided(t, out, session.ReasonUnreachable)

	w.requireFoundAgain(t, out, in)
}

// Promises L1, L3, R2: over duplex links a process that is stopped for longer than the
// silence bound is lost, and costs only itself. It is found again in the same stream.
func TestProcess_StoppedForLongIsLostAndFoundAgain(t *testing.T) {
	const silence = time.Second

	w := newDuplexTree(t, silence, silence)

	out, in := w.open(t)
	requireAnswers(t, out, in, "before", w.players)

	w.signal(syscall.SIGSTOP)
	w.requireAvoided(t, out, session.ReasonTimeout)
	require.Positive(t, w.lost.Load())

	w.requireFoundAgain(t, out, in)
}

// Promise L1: the clock of a process that goes on has jumped. What it could not read in
// that time is no silence of its neighbours: it gives them time for one more heartbeat.
func TestProcess_JumpOfTheClockIsNoSilence(t *testing.T) {
	const (
		patience = 6 * time.Second
		silence  = 3 * time.Second
		stopped  = 3500 * time.Millisecond
	)

	w := newDuplexTree(t, patience, silence)

	out, in := w.open(t)
	requireAnswers(t, out, in, "before", w.players)

	w.signal(syscall.SIGSTOP)
	time.Sleep(stopped) // It is the time of the other process that counts.
	w.signal(syscall.SIGCONT)

	requireAnswers(t, out, in, "after", w.players)
	require.Zero(t, w.lost.Load())
}

// requireAnswers is requireEchoes for players that may still answer what they were
// asked before.
func requireAnswers(t *testing.T, out mino.Sender, in mino.Receiver, question text, players []mino.Address) {
	t.Helper()

	requireDelivered(t, out.Send(question, players...))

	for waiting := players; len(waiting) > 0; {
		from, msg, err := in.Recv(t.Context())
		require.NoError(t, err)

		if msg == question {
			waiting = without(waiting, from)
		}
	}
}
