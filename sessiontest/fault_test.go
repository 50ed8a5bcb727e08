package sessiontest_test

import (
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/minogrpc/session/sessiontest"
	"github.com/stretchr/testify/require"
)

func TestNetwork_CutBreaksBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		time.AfterFunc(time.Second, func() { n.Cut("b:1", "a") })

		_, err := accepted.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = dialled.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = n.Dialer("a")(t.Context(), "b:1")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		_, err = n.Dialer("c")(t.Context(), "b:1")
		require.NoError(t, err, "another pair is not concerned")

		n.Heal("a", "b:1")
		_, err = dialled.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.ECONNRESET, "a broken connection stays broken")
		_, err = n.Dialer("a")(t.Context(), "b:1")
		require.NoError(t, err)
	})
}

// A process that dies says nothing more to anybody. Who notices that one of its connections
// is gone finds all the others gone.
func TestNetwork_CutBreaksAllConnectionsOfANodeAtOnce(t *testing.T) {
	const others = 50

	n := sessiontest.NewNetwork()
	t.Cleanup(n.Close)

	names := make([]string, others)
	conns := make([]net.Conn, others)

	for i := range others {
		names[i] = fmt.Sprintf("n%d:1", i)
		_, err := n.Listen(names[i])
		require.NoError(t, err)

		conns[i], err = n.Dialer("a")(t.Context(), names[i])
		require.NoError(t, err)
	}

	var (
		noticing sync.WaitGroup
		late     atomic.Int64
	)

	for _, c := range conns {
		noticing.Go(func() {
			_, _ = c.Read(make([]byte, 1))

			for _, other := range conns {
				if _, err := other.Write([]byte("x")); err == nil {
					late.Add(1)
				}
			}
		})
	}

	n.Cut("a", names...)
	noticing.Wait()

	require.Zero(t, late.Load(), "bytes that a dead node has sent")
}

func TestNetwork_FreezeKeepsOneDirectionUntilHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)

		requireWrite(t, dialled, "before ")
		n.Freeze("a", "b:1")
		requireWrite(t, dialled, "after")
		requireWrite(t, accepted, "back")

		requireRead(t, accepted, "before ")
		requireRead(t, dialled, "back")
		requireSilent(t, accepted)

		n.Heal("b:1", "a")
		requireRead(t, accepted, "after")
	})
}

func TestNetwork_FreezeBlocksTheWriterOnceTheBufferIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		n.Freeze("a", "b:1")
		time.AfterFunc(time.Hour, func() { n.Heal("a", "b:1") })

		go func() { _, _ = io.Copy(io.Discard, accepted) }()

		start := time.Now()
		requireWrite(t, dialled, string(make([]byte, 64<<10)))
		require.Zero(t, time.Since(start))
		requireWrite(t, dialled, "more")
		require.Equal(t, time.Hour, time.Since(start))
		require.NoError(t, dialled.Close())
	})
}

// A node that has closed its end is not known to have done so by the other one
// while nothing arrives from it: neither by reading nor by writing.
func TestNetwork_FreezeHidesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		n.Freeze("a", "b:1")
		require.NoError(t, dialled.Close())

		requireSilent(t, accepted)
		requireWrite(t, accepted, "anybody there?")

		n.Heal("a", "b:1")
		_, err := accepted.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		_, err = accepted.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
	})
}

func TestNetwork_FreezeHoldsDialsUntilHealed(t *testing.T) {
	for _, way := range [][2]string{{"a", "b:1"}, {"b:1", "a"}} {
		t.Run(way[0], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, _, _ := connect(t)
				n.Freeze(way[0], way[1])
				time.AfterFunc(time.Hour, func() { n.Heal("a", "b:1") })

				start := time.Now()
				_, err := n.Dialer("a")(t.Context(), "b:1")
				require.NoError(t, err)
				require.Equal(t, time.Hour, time.Since(start))
			})
		})
	}
}

func TestNetwork_DelayHoldsForNewConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _ := connect(t)
		n.Delay("a", "c:1", delay)

		lis, err := n.Listen("c:1")
		require.NoError(t, err)
		dialled, err := n.Dialer("a")(t.Context(), "c:1")
		require.NoError(t, err)
		accepted, err := lis.Accept()
		require.NoError(t, err)

		start := time.Now()
		requireWrite(t, dialled, "x")
		requireRead(t, accepted, "x")
		require.Equal(t, delay, time.Since(start))
	})
}

func TestNetwork_DelayIsExactAndKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		n.Delay("a", "b:1", delay)

		start := time.Now()
		requireWrite(t, dialled, "one ")
		time.Sleep(delay / 2)
		requireWrite(t, dialled, "two ")
		n.Delay("a", "b:1", 0)
		requireWrite(t, dialled, "three")

		requireRead(t, accepted, "one ")
		require.Equal(t, delay, time.Since(start))
		requireRead(t, accepted, "two three")
		require.Equal(t, delay+delay/2, time.Since(start))

		requireWrite(t, accepted, "back")
		requireRead(t, dialled, "back")
		require.Equal(t, delay+delay/2, time.Since(start), "the other direction has no delay")
	})
}

func TestNetwork_DelayIsNoLimitOfThroughput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		n.Delay("a", "b:1", delay)

		start := time.Now()
		for range 64 {
			requireWrite(t, dialled, string(make([]byte, 16<<10)))
		}
		require.NoError(t, dialled.Close())

		all, err := io.ReadAll(accepted)
		require.NoError(t, err)
		require.Len(t, all, 1<<20)
		require.Equal(t, delay, time.Since(start))
	})
}

func TestNetwork_DelayTellsAWriterOfTheEndWhenItArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, dialled, accepted := connect(t)
		n.Delay("a", "b:1", delay)
		require.NoError(t, dialled.Close())

		start := time.Now()
		requireWrite(t, accepted, "x")
		_, err := accepted.Write(make([]byte, 1<<20)) // blocks, as nobody reads
		require.ErrorIs(t, err, syscall.EPIPE)
		require.Equal(t, delay, time.Since(start))
	})
}

func TestNetwork_DialTakesARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _ := connect(t)
		n.Delay("a", "b:1", delay)
		n.Delay("b:1", "a", 2*delay)

		start := time.Now()
		_, err := n.Dialer("a")(t.Context(), "b:1")
		require.NoError(t, err)
		require.Equal(t, 3*delay, time.Since(start))
	})
}

// A node can dial itself: it is its own neighbour where it is an orchestrator and
// a player.
func TestNetwork_FaultsBetweenANodeAndItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _ := connect(t)
		lis, err := n.Listen("c:1")
		require.NoError(t, err)
		dialled, err := n.Dialer("c:1")(t.Context(), "c:1")
		require.NoError(t, err)
		accepted, err := lis.Accept()
		require.NoError(t, err)

		n.Freeze("c:1", "c:1")
		for _, way := range [][2]net.Conn{{dialled, accepted}, {accepted, dialled}} {
			requireWrite(t, way[0], "x")
			requireSilent(t, way[1])
		}

		n.Heal("c:1", "c:1")
		requireRead(t, dialled, "x")
		requireRead(t, accepted, "x")
	})
}
