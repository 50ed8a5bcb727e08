package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/internal/fake"
	"github.com/minogrpc/session/mino"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/debug"
	"github.com/minogrpc/session/sessiontest"
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

// reader is a handler that reads until its stream ends.
type reader struct{ mino.UnsupportedHandler }

// Stream implements mino.Handler.
func (reader) Stream(_ mino.Sender, in mino.Receiver) error {
	for {
		_, _, err := in.Recv(context.Background())
		if err != nil {
			return err
		}
	}
}

// Promise P3: at the root of thirteen nodes, the table names the slow and the frozen one first, though they are no
// neighbours of the root.
func TestTop_FindsTheSlowAndTheFrozenNodeOfThirteen(t *testing.T) {
	var page, slow, frozen string

	synctest.Test(t, func(t *testing.T) {
		c := sessiontest.Cluster(t, 13, sessiontest.WithMinogrpc(minogrpc.WithInspection()),
			sessiontest.WithRPC("work", reader{}, fake.MessageFactory{}))
		for i := range c.Len() {
			c.Slow(i, time.Millisecond) // A network without a delay has nothing to compare with.
		}

		out, _, err := c.RPC(0, "work").Stream(t.Context(), c.Players())
		require.NoError(t, err)

		hello := fake.Message("hello")
		for err := range out.Send(hello, c.Addresses()...) {
			require.NoError(t, err)
		}

		root := c.Node(0).(*minogrpc.Minogrpc)
		below := root.Descendants(t.Context(), root.Snapshot())
		isRoot := func(d minogrpc.Descendants) bool { return d.Role == host.StreamRoot }
		tree := below[slices.IndexFunc(below, isRoot)].Below
		slow, frozen = tree[0].Below[0].Address, tree[1].Below[0].Address

		c.Slow(indexOf(c, slow), 300*time.Millisecond)
		time.Sleep(2 * session.DefaultLiveness)
		c.Freeze(indexOf(c, frozen))
		out.Send(hello, c.Addresses()...)
		time.Sleep(6 * time.Second)

		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/snapshot.json", nil)
		debug.Handler(root, debug.WithDescendants()).ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code)

		page = w.Body.String()

		c.Heal(indexOf(c, frozen))
	})

	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, page) // top says what it misses
	}))
	defer srv.Close()

	code, stdout, stderr := runs(t.Context(), "top", "-debug", strings.TrimPrefix(srv.URL, "http://"), "-times", "1")
	require.Zero(t, code, stderr)

	_, out, _ := strings.Cut(stdout, "WHAT STANDS OUT\n")
	lines := strings.Split(out, "\n")
	require.Regexp(t, "^✗ "+frozen+"  no sign of life for ", lines[0])
	require.Regexp(t, "^! "+slow+"  round trip 6", lines[1])
}

// indexOf returns the index of the node at an address.
func indexOf(c *sessiontest.Nodes, addr string) int {
	return slices.IndexFunc(c.Addresses(), func(a mino.Address) bool { return a.String() == addr })
}

func TestTop_SaysWhatTheNodeAnswers(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()

	code, _, stderr := runs(t.Context(), "top", "-debug", strings.TrimPrefix(srv.URL, "http://"))
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "says: 404 Not Found")
}
