package sessiontest_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rate is one at which each byte takes a whole number of nanoseconds.
const rate = 64_000

// another returns one more connection from a to b.
func another(t *testing.T, n *sessiontest.Network, from string) (dialled, accepted net.Conn) {
	t.Helper()

	lis, err := n.Listen(from + "-listener:1")
	require.NoError(t, err)
	dialled, err = n.Dialer(from)(t.Context(), from+"-listener:1")
	require.NoError(t, err)
	accepted, err = lis.Accept()
	require.NoError(t, err)

	return dialled, accepted
}

// send writes so many bytes and closes the connection.
func send(t *testing.T, c net.Conn, size int) {
	t.Helper()

	_, err := c.Write(make([]byte, size))
	assert.NoError(t, err)
	assert.NoError(t, c.Close())
}

func TestNetwork_BandwidthIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		n.Bandwidth("a", "b:1", rate)

		start := time.Now()

		go send(t, dialled, 10*rate)

		all, err := io.ReadAll(accepted)
		require.NoError(t, err)
		require.Len(t, all, 10*rate)
		require.Equal(t, 10*time.Second, time.Since(start))
	})
}

func TestNetwork_BandwidthLetsBytesArriveAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		n.Bandwidth("a", "b:1", rate)

		go send(t, dialled, rate)

		for last := time.Now(); ; last = time.Now() {
			_, err := accepted.Read(make([]byte, rate))
			if errors.Is(err, io.EOF) {
				return
			}

			require.NoError(t, err)
			require.LessOrEqual(t, time.Since(last), 20*time.Millisecond)
		}
	})
}

func TestNetwork_BandwidthIsSharedByAllConnectionsInThatDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := sessiontest.NewNetwork()
		t.Cleanup(n.Close)

		lis, err := n.Listen("b:1")
		require.NoError(t, err)
		n.Bandwidth("a", "b:1", rate)

		var reading sync.WaitGroup

		start := time.Now()

		for range 4 {
			dialled, err := n.Dialer("a")(t.Context(), "b:1")
			require.NoError(t, err)
			accepted, err := lis.Accept()
			require.NoError(t, err)

			go send(t, dialled, rate)
			reading.Go(func() { _, _ = io.Copy(io.Discard, accepted) })

			// The other direction has no limit.
			_, err = accepted.Write(make([]byte, rate))
			require.NoError(t, err)
		}

		require.Zero(t, time.Since(start))
		reading.Wait()
		require.Equal(t, 4*time.Second, time.Since(start))
	})
}

func TestNetwork_BandwidthBlocksAWriterWhoseBufferIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		n.Bandwidth("a", "b:1", rate)

		go func() { _, _ = io.Copy(io.Discard, accepted) }()

		start := time.Now()
		requireWrite(t, dialled, string(make([]byte, 64<<10)))
		require.Zero(t, time.Since(start))
		requireWrite(t, dialled, string(make([]byte, rate/2)))
		require.InDelta(t, time.Second/2, time.Since(start), float64(20*time.Millisecond))
	})
}

func TestNetwork_BandwidthComesBeforeTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		n.Bandwidth("a", "b:1", rate)
		n.Delay("a", "b:1", 3*time.Second)

		start := time.Now()

		go send(t, dialled, 20*rate)

		_, err := io.ReadAll(accepted)
		require.NoError(t, err)
		require.Equal(t, 23*time.Second, time.Since(start), "the delay is no limit of the throughput")
	})
}

func TestNetwork_BandwidthCanChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		n.Bandwidth("a", "b:1", rate)
		requireWrite(t, dialled, string(make([]byte, rate/2)))
		n.Bandwidth("a", "b:1", 0)
		requireWrite(t, dialled, "last")

		start := time.Now()
		requireRead(t, accepted, string(make([]byte, rate/2))+"last")
		require.Equal(t, time.Second/2, time.Since(start), "what was on its way stays so, and nothing overtakes it")

		n.Bandwidth("a", "b:1", 2*rate)

		go send(t, dialled, 2*rate)

		_, err := io.ReadAll(accepted)
		require.NoError(t, err)
		require.Equal(t, 3*time.Second/2, time.Since(start))
	})
}

func TestNetwork_BandwidthConcernsNoOtherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _ := connect(t)
		n.Bandwidth("a", "b:1", 1)

		dialled, accepted := another(t, n, "c")
		start := time.Now()

		go send(t, dialled, rate)

		_, err := io.ReadAll(accepted)
		require.NoError(t, err)
		require.Zero(t, time.Since(start))
	})
}

// Time is that of the place.
func TestNetwork_BandwidthWorksInRealTime(t *testing.T) {
	n, dialled, accepted := connect(t)
	n.Bandwidth("a", "b:1", 1<<20)

	start := time.Now()

	go send(t, dialled, 100<<10)

	_, err := io.ReadAll(accepted)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(start), 90*time.Millisecond)
}
