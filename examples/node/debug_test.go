//go:build unix

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"syscall"
	"testing"

	"github.com/minogrpc/session/minogrpc"
	"github.com/stretchr/testify/require"
)

// A node whose debug page is on can be seen by top, and ends as others do.
func TestNode_ServesItsDebugPage(t *testing.T) {
	n := starts(t, private(t), "-debug", "127.0.0.1:0")
	addr := n.await(`Debug +http://(\S+)/\n`)

	code, stdout, stderr := runs(t.Context(), "top", "-debug", addr, "-times", "1")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, n.address+"  ")
	require.Contains(t, stdout, "WHAT STANDS OUT\n  nothing\n")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/snapshot.json", nil)
	require.NoError(t, err)

	re, err := http.DefaultClient.Do(req)
	require.NoError(t, err)

	var snap minogrpc.Snapshot

	data, err := io.ReadAll(re.Body)
	require.NoError(t, err)
	require.NoError(t, re.Body.Close())
	require.NoError(t, json.Unmarshal(data, &snap))
	require.Equal(t, n.address, snap.Address)
	require.NotContains(t, string(data), n.token)

	http.DefaultClient.CloseIdleConnections()
	require.Zero(t, n.signal(syscall.SIGTERM).ExitCode())
}
