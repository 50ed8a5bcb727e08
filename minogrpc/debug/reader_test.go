package debug_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/minogrpc"
	"github.com/minogrpc/session/minogrpc/debug"
	"github.com/stretchr/testify/require"
)

// pipes is a listener whose connections have no buffer.
type pipes struct {
	conns chan net.Conn
	over  chan struct{}
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.over:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	close(p.over)

	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// asks sends a request for the snapshot over a new connection.
func (p *pipes) asks(t *testing.T) net.Conn {
	t.Helper()

	mine, theirs := net.Pipe()
	p.conns <- theirs

	_, err := io.WriteString(mine, "GET /snapshot.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)

	return mine
}

// status returns what is answered.
func status(t *testing.T, conn net.Conn) int {
	t.Helper()

	re, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)

	defer func() { _ = re.Body.Close() }() // all has been read

	_, err = io.Copy(io.Discard, re.Body)
	require.NoError(t, err)

	return re.StatusCode
}

// Promise L1: readers that do not read keep away the others for ten seconds and no longer.
func TestHandler_SlowReadersLoseTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var snap minogrpc.Snapshot

		snap.Address = strings.Repeat("a", 1<<16)

		p := &pipes{conns: make(chan net.Conn), over: make(chan struct{})}
		srv := &http.Server{Handler: debug.Handler(always(snap)), ReadHeaderTimeout: time.Second}
		done := make(chan error)

		go func() { done <- srv.Serve(p) }()

		begun := time.Now()

		slow := make([]net.Conn, 0, 6)
		for range 4 {
			slow = append(slow, p.asks(t))
		}

		synctest.Wait()

		late := p.asks(t)
		require.Equal(t, http.StatusServiceUnavailable, status(t, late))
		time.Sleep(10*time.Second - time.Since(begun))
		synctest.Wait()

		next := p.asks(t)
		require.Equal(t, http.StatusOK, status(t, next))

		for _, conn := range append(slow, late, next) {
			require.NoError(t, conn.Close())
		}

		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
}
