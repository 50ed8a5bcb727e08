package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/debug"
	"github.com/stretchr/testify/require"
)

// watched returns a snapshot of a root with a slow child, one that is silent, and others.
func watched() minogrpc.Snapshot {
	child := func(addr string, trip time.Duration) session.Neighbor {
		return session.Neighbor{
			Address: addr, State: session.NeighborOpen, Duplex: true, Heard: time.Second, RoundTrip: trip,
		}
	}

	snap := minogrpc.Snapshot{At: time.Unix(1000, 0).UTC(), Peers: 1, Accepted: 1, Dialled: 4}
	snap.Address = "grpcs://me:1"
	snap.Streams = []host.Stream{{Role: host.StreamRoot, Handler: host.HandlerRunning}}

	st := &snap.Streams[0]
	st.Procedure, st.Stream, st.Address = "words", "id", "grpcs://me:1"
	st.Parents = []session.Neighbor{child("grpcs://up:1", time.Millisecond)}
	st.Children = []session.Neighbor{
		child("grpcs://frozen:1", time.Millisecond), child("grpcs://slow:1", 601*time.Millisecond),
		child("grpcs://well\x1b[2J\n:1", time.Millisecond),
	}
	st.Children[0].Heard = 6 * time.Second
	st.Children[0].Waiting = session.Backlog{Packets: 3, Oldest: 5 * time.Second}

	return snap
}

// busy is a node that has sent two packets more in each snapshot, which are a second apart.
type busy struct{ snap minogrpc.Snapshot }

// Snapshot implements debug.Node.
func (n *busy) Snapshot() minogrpc.Snapshot {
	n.snap.At = n.snap.At.Add(time.Second)
	n.snap.Streams[0].Children[1].Sent.Packets += 2

	return n.snap
}

// Promise P3: the table names the slow and the silent node first.
func TestTop_NamesTheSlowAndTheFrozenNode(t *testing.T) {
	srv := httptest.NewServer(debug.Handler(&busy{snap: watched()}))
	defer srv.Close()

	code, stdout, stderr := runs(t.Context(), "top", "-debug", strings.TrimPrefix(srv.URL, "http://"),
		"-every", "1ms", "-times", "2")
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)

	tables := strings.Split(stdout, "grpcs://me:1  ")
	require.Len(t, tables, 3)
	require.Equal(t, `00:16:42  1 stream, memory 0 KiB, 1 peer, connections 1 in and 4 out

WHAT STANDS OUT
✗ grpcs://frozen:1  no sign of life for 6s; 3 packets for it without an outcome, the oldest for 5s
! grpcs://slow:1  round trip 601ms, others 1ms

words id, root, handler running, 0 to receive
  NEIGHBOUR                                STATE      ROUND TRIP  WAITING   OLDEST    HEARD   SENT/s
↑ grpcs://up:1                             open              1ms        0        -       1s      0.0
↓ grpcs://frozen:1                         open              1ms        3       5s       6s      0.0
↓ grpcs://slow:1                           open            601ms        0        -       1s      2.0
↓ grpcs://well�[2J :1                      open              1ms        0        -       1s      0.0
`, tables[2])
}

func TestTop_SaysWhatTheNodeAnswers(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()

	code, _, stderr := runs(t.Context(), "top", "-debug", strings.TrimPrefix(srv.URL, "http://"))
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "says: 404 Not Found")
}
