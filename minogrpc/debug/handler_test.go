package debug_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minogrpc/session"
	"github.com/minogrpc/session/host"
	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/debug"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// node is a node whose snapshot the test has made.
type node func() minogrpc.Snapshot

// Snapshot implements debug.Node.
func (n node) Snapshot() minogrpc.Snapshot { return n() }

// always returns a node with that snapshot.
func always(snap minogrpc.Snapshot) node {
	return func() minogrpc.Snapshot { return snap }
}

// paths are all that a handler serves.
var paths = []string{"/", "/page.css", "/page.js", "/tree.js", "/snapshot.json"}

// get returns the answer of a handler to a request of the local machine.
func get(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), method, "http://127.0.0.1:6060"+path, nil))

	return w
}

func TestHandler_SnapshotReadsBack(t *testing.T) {
	snap := minogrpc.Snapshot{At: time.Unix(1, 2).UTC(), Peers: 3}
	snap.Address = "grpcs://a:1"
	snap.Streams = []host.Stream{{Role: host.StreamRoot, Handler: host.HandlerRunning, HandlerSince: time.Second}}
	snap.Streams[0].Stream = "id"
	snap.Streams[0].Children = []session.Neighbor{{Address: "grpcs://b:1", State: session.NeighborLost}}

	re := get(debug.Handler(always(snap)), http.MethodGet, "/snapshot.json")
	require.Equal(t, http.StatusOK, re.Code)
	require.Equal(t, "application/json", re.Header().Get("Content-Type"))

	text := re.Body.String()

	var back minogrpc.Snapshot

	require.NoError(t, json.Unmarshal([]byte(text), &back))
	require.Equal(t, snap, back)

	var page debug.Page

	require.NoError(t, json.Unmarshal([]byte(text), &page))
	require.Equal(t, "grpcs://b:1", page.StandsOut[0].Address)
	require.True(t, page.StandsOut[0].Dead)
}

// Each answer, also one that refuses, tells the browser to run nothing that is not a file of the page.
func TestHandler_HeadersKeepTheBrowserStrict(t *testing.T) {
	h := debug.Handler(always(minogrpc.Snapshot{}))

	for _, path := range append(paths, "/nope", "/page/page.js", "/../handler.go") {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			re := get(h, method, path)
			policy := re.Header().Get("Content-Security-Policy")

			require.Contains(t, policy, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ")
			require.Contains(t, policy, "frame-ancestors 'none'")
			require.Contains(t, policy, "require-trusted-types-for 'script'")
			require.NotContains(t, policy, "unsafe")
			require.Equal(t, "nosniff", re.Header().Get("X-Content-Type-Options"))
			require.Equal(t, "no-store", re.Header().Get("Cache-Control"))
			require.Equal(t, "same-origin", re.Header().Get("Cross-Origin-Resource-Policy"))
			require.Empty(t, re.Header().Get("Access-Control-Allow-Origin"))
		}
	}

	require.Equal(t, http.StatusNotFound, get(h, http.MethodGet, "/page/page.js").Code)
}

// The policy of the page forbids them, and the page would do without its script or colours.
func TestHandler_PageHasNothingInlineAndNothingFromElsewhere(t *testing.T) {
	h := debug.Handler(always(minogrpc.Snapshot{}))

	page := get(h, http.MethodGet, "/").Body.String()
	require.NotRegexp(t, `<script[^>]*>[^<]`, page)
	require.NotRegexp(t, `<style|style=|\son[a-z]+=`, page)

	for _, path := range paths[:4] {
		text := strings.ReplaceAll(get(h, http.MethodGet, path).Body.String(), "http://www.w3.org/2000/svg", "")
		require.NotRegexp(t, `https?://|@import|url\(`, text, path)
		require.NotRegexp(t, `innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|DOMParser|\.style\b`,
			text, path)
	}
}

func TestHandler_OnlyReads(t *testing.T) {
	asked := 0
	h := debug.Handler(node(func() minogrpc.Snapshot {
		asked++

		return minogrpc.Snapshot{}
	}))

	for _, path := range paths {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"} {
			re := get(h, method, path)
			require.Equal(t, http.StatusMethodNotAllowed, re.Code)
			require.Equal(t, "GET, HEAD", re.Header().Get("Allow"))
		}
	}

	require.Zero(t, asked)

	for _, path := range paths {
		re := get(h, http.MethodHead, path)
		require.Equal(t, http.StatusOK, re.Code)
		require.Empty(t, re.Body.String())
		require.Equal(t, re.Header().Get("Content-Length"), get(h, http.MethodGet, path).Header().Get("Content-Length"))
	}

	require.Equal(t, 2, asked, "one snapshot for each request of one")
}

// A page of another site could give its own name the address of this machine, and read all.
func TestHandler_ServesOnlyItsHosts(t *testing.T) {
	for _, test := range []struct {
		host   string
		opts   []debug.Option
		status int
	}{
		{"127.0.0.1:6060", nil, http.StatusOK},
		{"127.0.0.1", nil, http.StatusOK},
		{"[::1]:6060", nil, http.StatusOK},
		{"[::1]", nil, http.StatusOK},
		{"localhost:6060", nil, http.StatusOK},
		{"LOCALHOST.", nil, http.StatusOK},
		{"attacker.example:6060", nil, http.StatusMisdirectedRequest},
		{"127.0.0.1.attacker.example", nil, http.StatusMisdirectedRequest},
		{"localhost.attacker.example", nil, http.StatusMisdirectedRequest},
		{"", nil, http.StatusMisdirectedRequest},
		{"Node7.example:1", []debug.Option{debug.WithHosts("node7.Example")}, http.StatusOK},
		{"node8.example", []debug.Option{debug.WithHosts("node7.example")}, http.StatusMisdirectedRequest},
		{"node8.example", []debug.Option{debug.WithHosts("*")}, http.StatusOK},
	} {
		h := debug.Handler(always(minogrpc.Snapshot{}), test.opts...)

		for _, path := range paths {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.Host = test.host
			h.ServeHTTP(w, r)
			require.Equal(t, test.status, w.Code, "%q %s", test.host, path)
		}
	}
}

func TestHandler_ServesUnderAPath(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/debug/session/", http.StripPrefix("/debug/session/", debug.Handler(always(minogrpc.Snapshot{}))))

	for _, path := range paths {
		require.Equal(t, http.StatusOK, get(mux, http.MethodGet, "/debug/session"+path).Code, path)
	}

	// The files of the page are found beside it.
	require.Equal(t, http.StatusTemporaryRedirect, get(mux, http.MethodGet, "/debug/session").Code)
}

// Promise L1: many readers cost no more than four.
func TestHandler_AtMostFourSnapshotsAtOnce(t *testing.T) {
	var running, most, refused atomic.Int32

	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	full := make(chan struct{}, 20)
	srv := httptest.NewServer(debug.Handler(node(func() minogrpc.Snapshot {
		now := running.Add(1)
		defer running.Add(-1)

		for {
			old := most.Load()
			if now <= old || most.CompareAndSwap(old, now) {
				break
			}
		}

		full <- struct{}{}

		if now <= 4 { // one too many has been counted, and need not wait
			<-gate
		}

		return minogrpc.Snapshot{}
	})))

	defer srv.Close()
	defer open()

	var readers sync.WaitGroup

	ask := func() {
		if refuses(t, srv) {
			refused.Add(1)
		}
	}

	for range 4 {
		readers.Go(ask)
	}

	for range 4 {
		<-full
	}

	// All places are taken now.
	for range 16 {
		ask()
	}

	require.EqualValues(t, 16, refused.Load())
	open()
	readers.Wait()

	ask()
	require.EqualValues(t, 16, refused.Load(), "a place is free again")
	require.EqualValues(t, 4, most.Load())
}

// refuses asks a server for the snapshot, and tells whether the reader shall try again.
func refuses(t *testing.T, srv *httptest.Server) bool {
	t.Helper()

	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/snapshot.json", nil)
	req.RequestURI = "" // it is a client that asks

	re, err := srv.Client().Do(req)
	if err != nil {
		t.Error(err)

		return false
	}

	defer func() { _ = re.Body.Close() }() // its head is of interest

	return re.StatusCode == http.StatusServiceUnavailable && re.Header.Get("Retry-After") == "1"
}

// A defect in a store of certificates must not shut out later readers.
func TestHandler_PlaceIsFreeAfterAPanic(t *testing.T) {
	h := debug.Handler(node(func() minogrpc.Snapshot { panic("a defect") }))

	for range 10 {
		require.PanicsWithValue(t, "a defect", func() { get(h, http.MethodGet, "/snapshot.json") })
	}
}
