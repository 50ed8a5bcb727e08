package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"testing"

	"github.com/minogrpc/session/examples/internal/screen"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestListenIn_OneNodeInAFolder(t *testing.T) {
	f := folder(private(t))

	first, err := listenIn(t.Context(), f)
	require.NoError(t, err)

	info, err := os.Stat(f.socket())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	_, err = listenIn(t.Context(), f)
	require.ErrorContains(t, err, "a node runs in "+string(f))

	require.NoError(t, first.Close())

	again, err := listenIn(t.Context(), f)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

// A process that is killed leaves its socket behind.
func TestListenIn_TakesOverFromTheDead(t *testing.T) {
	f := folder(private(t))

	dead, err := listenIn(t.Context(), f)
	require.NoError(t, err)
	dead.Listener.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	require.FileExists(t, f.socket())

	next, err := listenIn(t.Context(), f)
	require.NoError(t, err)
	require.NoError(t, next.Close())
}

// Neither a client that says nothing nor one that says nonsense holds up the end.
func TestServe_EndsWithTheContext(t *testing.T) {
	f := folder(private(t))
	ctx, cancel := context.WithCancel(t.Context())

	c, err := listenIn(t.Context(), f)
	require.NoError(t, err)

	over := make(chan struct{})

	go func() {
		defer close(over)

		c.serve(ctx, nil)
	}()

	silent, err := new(net.Dialer).DialContext(t.Context(), "unix", f.socket())
	require.NoError(t, err)

	loud, err := new(net.Dialer).DialContext(t.Context(), "unix", f.socket())
	require.NoError(t, err)

	_, err = loud.Write([]byte("count!\n"))
	require.NoError(t, err)

	var e event

	require.NoError(t, json.NewDecoder(loud).Decode(&e))
	require.Contains(t, e.Error, "read the order")

	cancel()
	<-over

	_, err = silent.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, silent.Close())
	require.NoError(t, loud.Close())
}

// plays lets a node say something and hang up, and returns what the client makes of it.
func plays(t *testing.T, events ...event) (string, error) {
	t.Helper()

	client, node := net.Pipe()

	go func() {
		var o order

		err := json.NewDecoder(node).Decode(&o)

		for _, e := range events {
			err = errors.Join(err, json.NewEncoder(node).Encode(e))
		}

		assert.NoError(t, errors.Join(err, node.Close()))
	}()

	var out bytes.Buffer

	err := follow(client, order{Count: "/"}, screen.New(&out))
	require.NoError(t, client.Close())

	return out.String(), err
}

func TestFollow_EndOfTheNodeIsAnError(t *testing.T) {
	out, err := plays(t, event{Asking: &asking{Nodes: 2, Files: 3}})
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "Asking 2 nodes for their shares of 3 files:\n", out)
}

func TestFollow_ErrorOfTheNodeIsAnError(t *testing.T) {
	_, err := plays(t, event{Error: "no glasses"})
	require.EqualError(t, err, "no glasses")
}

func TestFollow_TableSaysWhoWasNotReached(t *testing.T) {
	sum := 7

	out, err := plays(t, event{Outcomes: []row{
		{Node: "grpcs://a:1", Outcome: "delivered", Files: 3, Words: 7},
		{Node: "grpcs://bb:1", Outcome: "unreachable", Hop: "grpcs://a:1", Cause: "gone"},
	}}, event{Sum: &sum})

	require.NoError(t, err)
	require.Equal(t, `
    NODE          OUTCOME         FILES    WORDS
    grpcs://a:1   delivered           3        7
  ✗ grpcs://bb:1  unreachable
    grpcs://a:1 says: gone

The replies add up to 7 words, and so does the node's own count.
`, out)
}
