package sessiontest_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

const delay = 50 * time.Millisecond

// connect returns a network and the two ends of a connection from "a" to "b:1".
func connect(t *testing.T) (n *sessiontest.Network, dialled, accepted net.Conn) {
	t.Helper()

	n = sessiontest.NewNetwork()
	t.Cleanup(n.Close)

	lis, err := n.Listen("b:1")
	require.NoError(t, err)
	dialled, err = n.Dialer("a")(t.Context(), "b:1")
	require.NoError(t, err)
	accepted, err = lis.Accept()
	require.NoError(t, err)

	return n, dialled, accepted
}

// requireRead reads as many bytes as the text has, and compares.
func requireRead(t *testing.T, c net.Conn, text string) {
	t.Helper()

	b := make([]byte, len(text))
	_, err := io.ReadFull(c, b)
	require.NoError(t, err)
	require.Equal(t, text, string(b))
}

// requireWrite writes the text, which must fit into the buffer.
func requireWrite(t *testing.T, c net.Conn, text string) {
	t.Helper()

	n, err := c.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

// requireSilent checks that nothing arrives, neither bytes nor an end, in an hour.
func requireSilent(t *testing.T, c net.Conn) {
	t.Helper()

	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
	_, err := c.Read(make([]byte, 1))

	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout(), "%v", err)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
}

func TestNetwork_ConnectionsAreOrdinaryConnections(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		n, dialled, accepted := connect(t)
		return dialled, accepted, n.Close, nil
	})
}

func TestNetwork_DelayedConnectionsAreOrdinaryConnections(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		n, dialled, accepted := connect(t)
		n.Delay("a", "b:1", 10*time.Microsecond)
		n.Delay("b:1", "a", 20*time.Microsecond)

		return dialled, accepted, n.Close, nil
	})
}

func TestNetwork_ConnectionsNameTheirNodes(t *testing.T) {
	_, dialled, accepted := connect(t)

	require.Equal(t, "a", dialled.LocalAddr().String())
	require.Equal(t, "b:1", dialled.RemoteAddr().String())
	require.Equal(t, "b:1", accepted.LocalAddr().String())
	require.Equal(t, "a", accepted.RemoteAddr().String())
}

func TestNetwork_ListenTakesAnAddressOnceUntilClosed(t *testing.T) {
	n := sessiontest.NewNetwork()

	lis, err := n.Listen("a:1")
	require.NoError(t, err)
	_, err = n.Listen("a:1")
	require.ErrorIs(t, err, syscall.EADDRINUSE)

	require.NoError(t, lis.Close())
	require.ErrorIs(t, lis.Close(), net.ErrClosed)
	_, err = lis.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = n.Listen("a:1")
	require.NoError(t, err)
}

func TestNetwork_DialWithoutAListenerIsRefused(t *testing.T) {
	n := sessiontest.NewNetwork()

	_, err := n.Dialer("a")(t.Context(), "b:1")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	lis, err := n.Listen("b:1")
	require.NoError(t, err)
	require.NoError(t, lis.Close())
	_, err = n.Dialer("a")(t.Context(), "b:1")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestNetwork_RefuseDialRefusesUntilAllowed(t *testing.T) {
	n, dialled, accepted := connect(t)

	n.RefuseDial("b:1")
	_, err := n.Dialer("a")(t.Context(), "b:1")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	requireWrite(t, dialled, "still here")
	requireRead(t, accepted, "still here")

	n.AllowDial("b:1")
	_, err = n.Dialer("a")(t.Context(), "b:1")
	require.NoError(t, err)
}

func TestNetwork_ListenerThatIsClosedResetsWhatItDidNotAccept(t *testing.T) {
	n := sessiontest.NewNetwork()
	lis, err := n.Listen("b:1")
	require.NoError(t, err)
	dialled, err := n.Dialer("a")(t.Context(), "b:1")
	require.NoError(t, err)

	require.NoError(t, lis.Close())
	_, err = dialled.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestNetwork_CloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		n.Freeze("c", "b:1")

		hanging := make(chan error, 1)
		go func() {
			_, err := n.Dialer("c")(t.Context(), "b:1")
			hanging <- err
		}()

		synctest.Wait()
		n.Close()
		n.Close()

		require.ErrorIs(t, <-hanging, net.ErrClosed)
		for _, c := range []net.Conn{dialled, accepted} {
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
		}
		_, err := n.Listen("c:1")
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestNetwork_WrittenBytesAreReadBeforeTheEnd(t *testing.T) {
	_, dialled, accepted := connect(t)

	requireWrite(t, dialled, "goodbye")
	require.NoError(t, dialled.Close())

	requireRead(t, accepted, "goodbye")
	_, err := accepted.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	_, err = accepted.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
}

func TestNetwork_FullBufferBlocksTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dialled, accepted := connect(t)

		done := make(chan error, 1)
		go func() {
			_, err := dialled.Write(make([]byte, 64<<10+1))
			done <- err
		}()

		synctest.Wait()
		require.Empty(t, done)

		requireRead(t, accepted, string(make([]byte, 1)))
		require.NoError(t, <-done)
	})
}

// Two Writes that both wait for room, several times: the bytes of one must not
// stand between those of the other.
func TestNetwork_ConcurrentWritesDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 300 << 10

		_, dialled, accepted := connect(t)
		for _, letter := range []byte("ab") {
			go func() { _, _ = dialled.Write(bytes.Repeat([]byte{letter}, size)) }()
		}

		got := make([]byte, 2*size)
		_, err := io.ReadFull(accepted, got)
		require.NoError(t, err)
		require.Equal(t, 1, bytes.Count(got, []byte("ab"))+bytes.Count(got, []byte("ba")))
	})
}

func TestNetwork_CloseEndsABlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dialled, _ := connect(t)
		time.AfterFunc(time.Second, func() { _ = dialled.Close() })

		n, err := dialled.Write(make([]byte, 1<<20))
		require.ErrorIs(t, err, net.ErrClosed)
		require.Equal(t, 64<<10, n)
	})
}

func TestNetwork_DialEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _ := connect(t)
		n.Freeze("b:1", "a") // the direction of the answer

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()

		start := time.Now()
		_, err := n.Dialer("a")(ctx, "b:1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
	})
}
